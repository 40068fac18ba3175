package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/doctor"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// doctorAddress is where doctor listens if it is not told where.
const doctorAddress = "127.0.0.1:4318"

type doctorFlags struct {
	listen string
	remote bool
	wait   doctor.Wait
	asJSON bool
	all    bool
}

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [CAPTURE… | DATASET | ADDRESS]",
		Short: "Say what your traces show, what they lack, and what to switch on",
		Long: `Doctor looks at the telemetry of your agents and says for each service what is
there, what that allows, and which switch of which instrumentation brings what is
missing: the most valuable first, with the lines to copy.

It looks at captures, files of OTLP or folders of them (JSON or protobuf, plain,
gzip or zstd; log records too, because some frameworks send content there); at a
dataset that the Collector wrote; or at what comes in: given an address, or
nothing at all, it takes OTLP over HTTP and gRPC on that port until an agent was
heard and it is quiet, or until Ctrl-C. Nothing is stored and nothing is sent.`,
		Example: `  tracegrad doctor traces.jsonl
  tracegrad doctor captures/
  tracegrad doctor dataset
  tracegrad doctor :4318`,
		RunE: f.run,
		Args: cobra.ArbitraryArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "", "take OTLP on this `address`, the same as to name it as the argument (default "+doctorAddress+")")
	flags.BoolVar(&f.remote, "allow-remote", false, "listen on addresses that other machines reach, too")
	flags.DurationVar(&f.wait.Most, "for", 0, "listen for this `long` at most (0 = no limit)")
	flags.DurationVar(&f.wait.Quiet, "quiet", time.Minute, "end after this `long` without telemetry, once an agent was heard; five seconds if each run that was heard is whole")
	flags.BoolVar(&f.all, "all", false, "print every advice and every service")
	flags.BoolVar(&f.asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func (f *doctorFlags) run(cmd *cobra.Command, args []string) error {
	seen, err := f.look(cmd, args)
	if err != nil {
		return err
	}
	findings := doctor.Diagnose(seen)
	out := cmd.OutOrStdout()
	switch {
	case f.asJSON:
		err = printJSON(out, findings)
	case len(findings.Services) > 0:
		err = findings.Write(out, doctor.Style{Width: terminalWidth(out), All: f.all})
	}
	if err == nil && len(findings.Services) == 0 {
		err = noAgent(findings)
	}
	return err
}

// look finds out what it is given.
func (f *doctorFlags) look(cmd *cobra.Command, args []string) (*doctor.Seen, error) {
	if f.listen != "" && len(args) > 0 {
		return nil, usageError{errors.New("give what to look at once: as an argument or with --listen")}
	}
	if f.wait.Most < 0 || f.wait.Quiet < 0 {
		return nil, usageError{errors.New("--for and --quiet must not be negative")}
	}
	address := f.listen
	if address == "" && len(args) == 0 {
		address = doctorAddress
	}
	if len(args) == 1 && isAddress(args[0]) {
		address = args[0]
	}
	if address != "" {
		return f.hear(cmd, address)
	}
	return examine(cmd.Context(), cmd.ErrOrStderr(), args)
}

// examine looks at a dataset or at captures.
func examine(ctx context.Context, errOut io.Writer, args []string) (*doctor.Seen, error) {
	if len(args) == 1 && isDataset(args[0]) {
		return examineDataset(ctx, errOut, args[0])
	}
	for _, arg := range args {
		if isDataset(arg) {
			return nil, usageError{fmt.Errorf("%s is a dataset: look at it alone", arg)}
		}
	}
	show := newDoctorProgress(errOut)
	defer show.close()
	return doctor.Captures(ctx, args, show.step)
}

func examineDataset(ctx context.Context, errOut io.Writer, dir string) (seen *doctor.Seen, err error) {
	db, err := query.Open(ctx, dir, query.Options{Fetched: fetched(errOut), LeaveOut: leftOut(errOut, "doctor")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if seen, err = db.Seen(ctx); err == nil && len(seen.Services) == 0 {
		err = fmt.Errorf("there are no trajectories in %s yet", dir)
	}
	return seen, err
}

func isDataset(path string) bool {
	if bucket.IsURL(path) {
		return true
	}
	info, err := os.Stat(filepath.Join(path, fmt.Sprintf("v%d", dataset.Version)))
	return err == nil && info.IsDir()
}

// isAddress says whether an argument is where to listen: a URL, or host:port if
// there is no such file.
func isAddress(arg string) bool {
	if strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://") {
		return true
	}
	if _, err := os.Stat(arg); err == nil || bucket.IsURL(arg) {
		return false
	}
	host, port, err := net.SplitHostPort(arg)
	return err == nil && port != "" && !strings.ContainsAny(host, `/\`)
}

// hear listens until an agent was heard.
func (f *doctorFlags) hear(cmd *cobra.Command, address string) (*doctor.Seen, error) {
	host, port, err := f.place(address)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("%w\nIf a Collector runs there, take another port, and point the agent at it: tracegrad doctor :14318", err)
	}
	out := cmd.ErrOrStderr()
	fmt.Fprintf(out, "listening for OTLP over HTTP and gRPC; point your agent here and run it once:\n\n  export OTEL_EXPORTER_OTLP_ENDPOINT=http://%s\n\nThe advice comes when it is quiet, or at Ctrl-C.\n", l.Addr())
	show := newDoctorProgress(out)
	defer show.close()
	wait := f.wait
	if !cmd.Flags().Changed("quiet") {
		wait.Whole = 5 * time.Second
	}
	return doctor.Listen(cmd.Context(), l, wait, show.step)
}

// place is where to listen. Without a host it is loopback: what comes may be
// anyone's prompts.
func (f *doctorFlags) place(address string) (host, port string, err error) {
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" {
			return "", "", usageError{fmt.Errorf("%s: doctor listens for plain HTTP, such as http://%s", address, doctorAddress)}
		}
		if address = u.Host; u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), "4318")
		}
	}
	if host, port, err = net.SplitHostPort(address); err != nil {
		return "", "", usageError{fmt.Errorf("--listen %s: want host:port or :port, such as %s", address, doctorAddress)}
	}
	if host == "" && !f.remote {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); host != "localhost" && !f.remote && (ip == nil || !ip.IsLoopback()) {
		return "", "", usageError{fmt.Errorf("%s can be reached by other machines: listen on %s, or say --allow-remote", address, doctorAddress)}
	}
	return host, port, nil
}

// noAgent is the error for telemetry without an agent.
func noAgent(f *doctor.Findings) error {
	spans := 0
	for _, n := range f.Others {
		spans += n
	}
	what := "no telemetry came"
	if spans > 0 {
		what = fmt.Sprintf("no agent in %s: none is a model call, a tool run or an agent", count(spans, "span"))
	}
	return errors.New(strings.Join(append([]string{what}, append(f.Notes,
		"Instrument the client that calls the model, and what runs its tools, for example:",
		"  Python      pip install openinference-instrumentation-openai",
		"  JavaScript  npm install @arizeai/openinference-instrumentation-openai")...), "\n"))
}

// doctorProgress shows on a terminal how much was looked at.
type doctorProgress struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newDoctorProgress(out io.Writer) *doctorProgress {
	p := &doctorProgress{out: out}
	if isTerminal(out) {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionSpinnerType(14),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return p
}

func (p *doctorProgress) step(e *doctor.Exam) {
	if p.bar == nil {
		return
	}
	spans, calls, records := e.Sofar()
	p.bar.Describe(fmt.Sprintf("%s, %s, %s", count(spans, "span"), count(calls, "model call"), count(records, "log record")))
	_ = p.bar.Set(spans)
}

func (p *doctorProgress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
