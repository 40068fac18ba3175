package worker

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say what is served and how. Model and Checkpoints are needed.
type Options struct {
	Model       string // folder of the base model in Hugging Face's layout, or a name on its hub
	Name        string // what clients and adapters call it; "" = Model
	Checkpoints string // folder for adapters and optimizer states; made if it is missing

	Device  string // auto, cpu, cuda or cuda:N; "" = auto: the GPU if there is one
	Dtype   string // float32 or bfloat16; "" = bfloat16 on a GPU, else float32
	Threads int    // of the CPU; 0 = torch's choice. With the same number results are the same, bit by bit
	Tokens  int    // padded tokens of a micro-batch; 0 = 1024, on a GPU 16384

	Environment Environment // where Python is from
	Log         io.Writer   // progress of the set-up and what the worker prints; nil = nowhere
}

// Worker is a running engine.
type Worker struct {
	url, token string
	cmd        *exec.Cmd
	stdin      io.Closer
	stderr     *tail
	done       chan struct{} // closed when the process has ended
	err        error         // how; to be read after done
	stop       sync.Once
}

// grace is how long a worker may take to end before it is killed.
const grace = 5 * time.Second

// Start provisions the environment if that was not done before, starts a worker
// and waits until it serves. The worker lives until Close or until ctx is done.
func Start(ctx context.Context, o Options) (*Worker, error) {
	if o.Model == "" || o.Checkpoints == "" {
		return nil, errors.New("start worker: a base model and a folder for checkpoints are needed")
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	python, err := o.Environment.provision(ctx, o.Log)
	if err != nil {
		return nil, fmt.Errorf("set up worker: %w", err)
	}
	cache, err := o.Environment.cache()
	if err != nil {
		return nil, fmt.Errorf("set up worker: %w", err)
	}
	sources, err := unpack(cache)
	if err != nil {
		return nil, fmt.Errorf("set up worker: %w", err)
	}
	if err := os.MkdirAll(o.Checkpoints, 0o700); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	checkpoints, err := filepath.Abs(o.Checkpoints)
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	w := &Worker{token: rand.Text(), stderr: &tail{to: o.Log}, done: make(chan struct{})}
	w.cmd = exec.CommandContext(ctx, python, o.arguments(checkpoints)...)
	w.cmd.Env = append(os.Environ(), "TRACEGRAD_WORKER_TOKEN="+w.token, "PYTHONPATH="+sources, "PYTHONUNBUFFERED=1",
		"TOKENIZERS_PARALLELISM=false", "TQDM_DISABLE=1", "PYTHONWARNINGS=ignore", "OMP_WAIT_POLICY="+cmp.Or(os.Getenv("OMP_WAIT_POLICY"), "PASSIVE"))
	w.cmd.Stderr, w.cmd.WaitDelay = w.stderr, grace
	if err := w.start(ctx); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	return w, nil
}

// arguments are those of the Python module.
func (o Options) arguments(checkpoints string) []string {
	args := []string{"-m", "tracegrad_worker", "--model", o.Model, "--checkpoints", checkpoints}
	for _, a := range []struct{ flag, value string }{{"--name", o.Name}, {"--device", o.Device}, {"--dtype", o.Dtype}} {
		if a.value != "" {
			args = append(args, a.flag, a.value)
		}
	}
	return append(args, "--threads", strconv.Itoa(o.Threads), "--tokens", strconv.Itoa(o.Tokens))
}

// start runs the process and reads where it serves from what it prints.
func (w *Worker) start(ctx context.Context) error {
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.cmd.Start(); err != nil {
		return err
	}
	w.stdin = stdin
	port := make(chan int, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		port <- w.portOf(lines)
		_, _ = io.Copy(w.stderr, lines)
		w.err = w.cmd.Wait()
		close(w.done)
	}()
	select {
	case number := <-port:
		if number == 0 {
			_ = w.Close()
			return errors.New(w.why())
		}
		w.url = "http://127.0.0.1:" + strconv.Itoa(number)
		return nil
	case <-ctx.Done():
		_ = w.Close()
		return ctx.Err()
	}
}

// portOf reads until the line that says where it serves, and passes on what
// libraries print before it; 0 = there was none.
func (w *Worker) portOf(lines *bufio.Reader) int {
	for {
		line, err := lines.ReadBytes('\n')
		var ready struct {
			Port int `json:"port"`
		}
		if json.Unmarshal(line, &ready) == nil && ready.Port > 0 {
			return ready.Port
		}
		_, _ = w.stderr.Write(line)
		if err != nil {
			return 0
		}
	}
}

// URL is where the worker serves, without a path.
func (w *Worker) URL() string { return w.url }

// Token is what every request must carry: Authorization: Bearer.
func (w *Worker) Token() string { return w.token }

// Done is closed when the worker has ended, by Close or by itself; then Err says
// why.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Err is nil while the worker runs, and after Close; else why it ended.
func (w *Worker) Err() error {
	select {
	case <-w.done:
		if w.err == nil {
			return nil
		}
		return fmt.Errorf("worker ended: %s", w.why())
	default:
		return nil
	}
}

// Close ends the worker and waits until it is gone. What was not saved is lost;
// checkpoints are whole or not there.
func (w *Worker) Close() error {
	w.stop.Do(func() {
		_ = w.stdin.Close() // it ends when its standard input does
		select {
		case <-w.done:
		case <-time.After(grace):
			_ = w.cmd.Process.Kill()
			<-w.done
		}
	})
	return w.Err()
}

// why is what the worker last printed, or how it ended.
func (w *Worker) why() string {
	if text := w.stderr.last(); text != "" {
		return text
	}
	if w.err != nil {
		return w.err.Error()
	}
	return "it did not say where it serves"
}

// tail passes on what is written and keeps the end of it.
type tail struct {
	to   io.Writer
	mu   sync.Mutex
	kept []byte
}

const tailKept = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailKept; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	_, _ = t.to.Write(p) // whoever reads along may stop
	return len(p), nil
}

// last is the last line that was written: of a Python error, what it says.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(string(bytes.TrimSpace(t.kept)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
