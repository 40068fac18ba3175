//go:generate go tool mdatagen metadata.yaml

// Package feedbackreceiver turns what an application learns about a run later
// (was the answer right? thumbs up?) into evaluation events.
//
// The way of a request: handler.go reads the body, item.go checks each item,
// record.go makes log records of them. 200 is answered only after the next
// consumer took the records.
package feedbackreceiver
