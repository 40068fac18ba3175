package localcollector

import "os"

// PID is the process id of the Collector.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// Kill ends the process at once (SIGKILL: nothing is flushed) and waits for it.
func (c *Collector) Kill() {
	c.asked = true
	_ = c.cmd.Process.Kill() // gone already is as good
	<-c.exited
}

// Exited is closed when the process is gone; State is valid from then on.
func (c *Collector) Exited() <-chan struct{} { return c.exited }

// State is what the system says about the process once it is gone.
func (c *Collector) State() *os.ProcessState { return c.cmd.ProcessState }
