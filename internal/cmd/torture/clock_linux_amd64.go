package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// clock sets the wall clock of one running process, and of no other. A program
// asks the kernel for the time through a page of code that the kernel maps into
// every process (the vDSO). There the entry of clock_gettime is turned to a few
// instructions of ours behind the kernel's code, which add an offset to
// CLOCK_REALTIME and leave all other clocks alone.
type clock struct {
	pid    int
	offset int64 // address of the offset in seconds
}

// addOffset is clock_gettime(edi, rsi) by system call, with the 8 bytes behind
// it added to tv_sec if edi is CLOCK_REALTIME.
var addOffset = []byte{
	0xb8, 0xe4, 0, 0, 0, // mov eax, 228
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi
	0x75, 0x0a, // jnz +10
	0x48, 0x8b, 0x0d, 0x0e, 0, 0, 0, // mov rcx, [rip+14]
	0x48, 0x01, 0x0e, // add [rsi], rcx
	0xc3,                         // ret
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // align
}

// takeClock must come before the process is busy.
func takeClock(pid int) (*clock, error) {
	start, end, err := vdso(pid)
	if err != nil {
		return nil, err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the memory of process %d: %w", pid, err)
	}
	defer mem.Close()
	image := make([]byte, end-start)
	if _, err := mem.ReadAt(image, start); err != nil {
		return nil, fmt.Errorf("read the vDSO of process %d: %w", pid, err)
	}
	entry, err := entryOf(image, "__vdso_clock_gettime")
	if err != nil {
		return nil, err
	}
	code := int64(len(bytes.TrimRight(image, "\x00"))+63) &^ 63 // behind all that is there
	if code+int64(len(addOffset))+8 > int64(len(image)) {
		return nil, errors.New("the vDSO has no room for a clock")
	}
	jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(int32(code-entry-5))) //nolint:gosec // within two pages
	if _, err := mem.WriteAt(addOffset, start+code); err != nil {
		return nil, fmt.Errorf("write the clock of process %d: %w", pid, err)
	}
	if _, err := mem.WriteAt(jump, start+entry); err != nil {
		return nil, fmt.Errorf("write the clock of process %d: %w", pid, err)
	}
	return &clock{pid: pid, offset: start + code + int64(len(addOffset))}, nil
}

// jump sets the clock to the true time plus d.
func (c *clock) jump(d time.Duration) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("set the clock of process %d: %w", c.pid, err)
	}
	defer mem.Close()
	_, err = mem.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(d/time.Second))), c.offset) //nolint:gosec // bits
	if err != nil {
		return fmt.Errorf("set the clock of process %d: %w", c.pid, err)
	}
	return nil
}

// vdso is where the kernel's page of code lies in a process.
func vdso(pid int) (start, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &start, &end)
			return start, end, err
		}
	}
	return 0, 0, fmt.Errorf("process %d has no vDSO", pid)
}

func entryOf(image []byte, name string) (int64, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, fmt.Errorf("read the vDSO: %w", err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("read the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == name {
			return int64(s.Value), nil //nolint:gosec // an offset in two pages
		}
	}
	return 0, fmt.Errorf("the vDSO has no %s", name)
}
