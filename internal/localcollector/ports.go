package localcollector

import (
	"fmt"
	"net"
	"sync"
)

// Ports hands out loopback addresses that nobody listened on a moment ago, no
// one twice. The zero value is ready to use.
type Ports struct {
	mu   sync.Mutex
	used map[string]bool
}

func (p *Ports) free() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		if !p.used[addr] {
			if p.used == nil {
				p.used = map[string]bool{}
			}
			p.used[addr] = true
			return addr, nil
		}
	}
}
