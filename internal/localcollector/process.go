package localcollector

import "os"

// PID is the process id of the Collector.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// Exited is closed when the process is gone; State is valid from then on.
func (c *Collector) Exited() <-chan struct{} { return c.exited }

// State is what the system says about the process once it is gone.
func (c *Collector) State() *os.ProcessState { return c.cmd.ProcessState }
