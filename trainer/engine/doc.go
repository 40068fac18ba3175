// Package engine speaks the Tinker training protocol with the servers that turn
// rows into policy updates: the worker of this project, SkyRL, and others.
//
// The protocol has two generations: JSON throughout (SkyRL 0.3.0, our worker),
// and protobuf for passes over rows (SkyRL 0.4.0 and later). [Dial] finds out
// which one a server speaks; docs/engines.md says what each server does.
//
// # What a batch means
//
// The gradient of one optimizer step is, on every server,
//
//	Σ over rows  Weight × Σ over generated tokens  loss(now, Logprobs, Advantages)
//
// Servers sum in their own ways ([Normalization]); the client scales what it
// sends so that this holds. Batches are cut into requests by a budget of tokens;
// how they are cut changes nothing.
//
// # When something breaks
//
// A request that may be sent again is sent again: one that changes nothing, one
// that surely did not arrive, and, on servers that tell requests apart by model
// and sequence number, any. What is left is [ErrLost]: nobody knows what the
// model on the server went through. Such a model takes no more steps. Make a new
// one from the last saved state ([Spec].From) and repeat the steps since.
package engine
