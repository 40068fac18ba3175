package otlp

import "math/rand/v2"

// The shares of requests that Shuffle disturbs besides their order.
const (
	splitShare     = 0.5
	duplicateShare = 0.2
	splitParts     = 3
)

// Shuffle yields the requests of src the way a bad network would deliver them:
// in any order, some split over up to three requests, some twice. No item is
// lost. The same seed gives the same sequence; src is held in memory.
//
// Errors of src come first, in their order.
func Shuffle(src Source, seed uint64) Source {
	return func(yield func(Request, error) bool) {
		rng := rand.New(rand.NewPCG(seed, seed))
		var out []Request
		for req, err := range src {
			if err != nil {
				if !yield(req, err) {
					return
				}
				continue
			}
			out = append(out, disturb(req, rng)...)
		}
		rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		for _, req := range out {
			if !yield(req, nil) {
				return
			}
		}
	}
}

// disturb splits and duplicates one request. Random numbers are drawn in a
// fixed order, whatever the outcome of a draw.
func disturb(req Request, rng *rand.Rand) []Request {
	split, duplicate := rng.Float64() < splitShare, rng.Float64() < duplicateShare
	parts := []Request{req}
	if split && req.Items() > 1 {
		parts = req.split(splitParts, func(int) int { return rng.IntN(splitParts) })
	}
	if duplicate {
		parts = append(parts, parts[rng.IntN(len(parts))].clone())
	}
	return parts
}
