package trajectory

import (
	"errors"
	"fmt"
	"unsafe"
)

// Decode reads what [Encode] wrote. It copies b once; the texts of the
// trajectory are parts of that copy, so keeping one of them keeps them all
// (strings.Clone what outlives the trajectory).
//
// It refuses data of a newer version, broken data, and trajectories that are
// not [Trajectory.Valid], and ignores fields it does not know.
func Decode(b []byte) (*Trajectory, error) { return read(string(b)) }

// DecodeOwned is Decode without the copy: the texts are parts of b, which must
// not be changed any more.
func DecodeOwned(b []byte) (*Trajectory, error) {
	return read(unsafe.String(unsafe.SliceData(b), len(b)))
}

func read(s string) (*Trajectory, error) {
	t, err := decode(s)
	if err != nil {
		return nil, fmt.Errorf("read trajectory: %w", err)
	}
	return t, nil
}

// Tags of the repeated messages, which are counted before they are read.
const (
	tagVersion  = 1<<3 | wireVarint
	tagMessages = 14<<3 | wireBytes
	tagSteps    = 15<<3 | wireBytes
	tagRewards  = 36<<3 | wireBytes
	tagFacts    = 37<<3 | wireBytes
)

func decode(s string) (*Trajectory, error) {
	t := &Trajectory{}
	if err := scan(s, t); err != nil {
		return nil, err
	}
	r := newReader(s)
	for r.more() {
		tag := r.tag()
		switch tag {
		case tagMessages:
			t.Messages = append(t.Messages, Message{})
			r.message(&t.Messages[len(t.Messages)-1])
		case tagSteps:
			t.Steps = append(t.Steps, Step{})
			r.step(&t.Steps[len(t.Steps)-1])
		case tagRewards:
			t.Rewards = append(t.Rewards, Reward{Step: -1})
			r.reward(&t.Rewards[len(t.Rewards)-1])
		case tagFacts:
			t.Facts = append(t.Facts, Fact{})
			r.fact(&t.Facts[len(t.Facts)-1])
		default:
			if !r.head(tag, t) && !r.summary(tag, t) {
				r.skip(tag)
			}
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := resolveTools(t.Steps, r.tools); err != nil {
		return nil, err
	}
	if err := resolveResults(t.Messages, r.shown); err != nil {
		return nil, err
	}
	return t, t.Valid()
}

// scan checks the version before anything is believed, and makes room.
func scan(s string, t *Trajectory) error {
	var version uint64
	var messages, steps, rewards, facts int
	for r := newReader(s); ; {
		if !r.more() {
			if r.err != nil {
				return r.err
			}
			break
		}
		switch tag := r.tag(); tag {
		case tagVersion:
			version = r.varint()
			if version > Version {
				return fmt.Errorf("format version %d is newer than %d, the newest this build reads: upgrade tracegrad", version, Version)
			}
			continue
		case tagMessages:
			messages++
			r.bytes()
		case tagSteps:
			steps++
			r.bytes()
		case tagRewards:
			rewards++
			r.bytes()
		case tagFacts:
			facts++
			r.bytes()
		default:
			r.skip(tag)
		}
	}
	if version == 0 {
		return errors.New("no format version: this is not an encoded trajectory")
	}
	t.Messages = room[Message](messages)
	t.Steps = room[Step](steps)
	t.Rewards = room[Reward](rewards)
	t.Facts = room[Fact](facts)
	return nil
}

func room[T any](n int) []T {
	if n == 0 {
		return nil
	}
	return make([]T, 0, n)
}

func (r *reader) head(tag uint64, t *Trajectory) bool {
	switch tag {
	case tagVersion:
		r.varint()
	case 2<<3 | wireBytes:
		t.ID = r.text()
	case 3<<3 | wireVarint:
		t.Revision = int64(r.varint())
	case 4<<3 | wireBytes:
		t.Writer = r.text()
	case 5<<3 | wireBytes:
		t.TaskKey = r.text()
	case 6<<3 | wireBytes:
		t.TaskKeySource = r.text()
	case 7<<3 | wireBytes:
		t.TraceIDs = append(t.TraceIDs, r.text())
	case 8<<3 | wireBytes:
		t.ConversationID = r.text()
	case 9<<3 | wireBytes:
		t.UserID = r.text()
	case 10<<3 | wireBytes:
		t.Tenant = r.text()
	case 11<<3 | wireBytes:
		t.ServiceName = r.text()
	case 12<<3 | wireBytes:
		t.AgentNames = append(t.AgentNames, r.text())
	case 13<<3 | wireBytes:
		t.Dialects = append(t.Dialects, r.text())
	default:
		return false
	}
	return true
}

func (r *reader) summary(tag uint64, t *Trajectory) bool {
	switch tag {
	case 16<<3 | wireBytes:
		t.Source = Source(r.text())
	case 17<<3 | wireBytes:
		t.Input = r.text()
	case 18<<3 | wireBytes:
		t.Output = r.text()
	case 19<<3 | wireBytes:
		t.Status = Status(r.text())
	case 20<<3 | wireBytes:
		t.Error = r.text()
	case 21<<3 | wireBytes:
		t.CloseReason = CloseReason(r.text())
	case 22<<3 | wireBytes:
		t.Continues = r.text()
	case 23<<3 | wireVarint:
		t.StartedAt = int64(r.varint())
	case 24<<3 | wireVarint:
		t.EndedAt = int64(r.varint())
	case 25<<3 | wireVarint:
		t.FirstSeenAt = int64(r.varint())
	case 26<<3 | wireVarint:
		t.SpanCount = int(r.varint())
	case 27<<3 | wireVarint:
		t.ModelCalls = int(r.varint())
	case 28<<3 | wireVarint:
		t.ToolCalls = int(r.varint())
	case 29<<3 | wireVarint:
		t.InputTokens = r.optInt()
	case 30<<3 | wireVarint:
		t.OutputTokens = r.optInt()
	case 31<<3 | wireBytes:
		t.Bundle = r.text()
	case 32<<3 | wireBytes:
		t.Tokens = Tokens(r.text())
	case 33<<3 | wireVarint:
		t.Trainable = r.varint() != 0
	case 34<<3 | wireBytes:
		t.Reasons = append(t.Reasons, Reason(r.text()))
	case 35<<3 | wireBytes:
		t.Attributes = r.text()
	default:
		return false
	}
	return true
}
