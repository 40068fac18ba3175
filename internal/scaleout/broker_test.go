package scaleout

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// broker is a Kafka broker that is its own controller.
type broker struct {
	t       *testing.T
	jars    string
	config  string
	address string
	cmd     *exec.Cmd
}

const properties = `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=%[2]s
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=250
`

// kafka starts a broker with the two topics of the shipped configurations.
func kafka(t *testing.T, partitions int) *broker {
	t.Helper()
	dir := t.TempDir()
	b := &broker{t: t, jars: install(t, "Kafka", "testdata/install-kafka.sh"), config: filepath.Join(dir, "server.properties"), address: free(t)}
	require.NoError(t, os.WriteFile(b.config, fmt.Appendf(nil, properties, b.address, free(t), filepath.Join(dir, "data")), 0o600))
	b.tool("kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", "tracegradtracegradtrac", "--config", b.config)
	b.start()
	t.Cleanup(b.kill)
	require.Eventually(t, b.listens, time.Minute, 50*time.Millisecond)
	for _, topic := range []string{"tracegrad-spans", "tracegrad-logs"} {
		b.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", b.address, "--create",
			"--topic", topic, "--partitions", fmt.Sprint(partitions), "--config", "max.message.bytes=16777216")
	}
	return b
}

// java is a program of Kafka's. Its virtual machine starts in a second, and is
// not at its best after minutes.
func (b *broker) java(class string, args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		"-cp", filepath.Join(b.jars, "*"), class,
	}, args...)...)
}

func (b *broker) tool(class string, args ...string) string {
	b.t.Helper()
	out, err := b.java(class, args...).CombinedOutput()
	require.NoError(b.t, err, string(out))
	return string(out)
}

// start starts the broker, again after a kill, and does not wait for it.
func (b *broker) start() {
	b.t.Helper()
	b.cmd = b.java("kafka.Kafka", b.config)
	b.cmd.Stdout, b.cmd.Stderr = os.Stderr, os.Stderr // errors only
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(b.t, b.cmd.Start())
}

func (b *broker) listens() bool {
	conn, err := net.DialTimeout("tcp", b.address, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// kill ends the broker at once.
func (b *broker) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// free is a loopback address that nobody listened on a moment ago.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
