package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// FactID is the id of a fact that came without one: a hash of everything that
// was said, about what and when. The same record delivered twice has the same
// id; whoever corrects a verdict says so at another time.
func FactID(f trajectory.Fact) string {
	h := sha256.New()
	var n [8]byte
	for _, s := range []string{
		f.Name, f.Label, f.Explanation, f.Source,
		f.TrajectoryID, f.TraceID, f.SpanID, f.ResponseID, f.ConversationID,
	} {
		h.Write(binary.LittleEndian.AppendUint64(n[:0], uint64(len(s)))) // so that no two lists of texts look alike
		h.Write([]byte(s))
	}
	h.Write(binary.LittleEndian.AppendUint64(n[:0], uint64(f.ObservedAt)))
	if f.Value != nil {
		h.Write(binary.LittleEndian.AppendUint64(n[:0], math.Float64bits(*f.Value)))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
