package main

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Tickets come in kinds: an opening, a matter, an ending, a customer. Two of
// one kind differ in their numbers only.
var (
	openings = []string{"Hi, {name} here.", "Hello,", "Good morning.", "Hey team,", "Dear support,", "My name is {name}."}

	matters = []string{
		"I was charged twice for order {order}.", "The invoice for order {order} shows the wrong amount.",
		"Why is there an extra fee on order {order}?", "My card was billed but order {order} says unpaid.",
		"I need a receipt with VAT for order {order}.", "The discount was not applied to order {order}.",
		"Order {order} has not arrived yet.", "The courier left order {order} at the wrong address.",
		"Where is my parcel for order {order}?", "Tracking for order {order} has not moved for days.",
		"Please deliver order {order} to my office instead.", "Order {order} was marked delivered but nothing came.",
		"I want to send back order {order}.", "The item in order {order} is broken, I want a refund.",
		"Order {order} is the wrong size, how do I exchange it?", "The shirt in order {order} has a hole, please replace it.",
		"I changed my mind about order {order} and want my money back.", "Order {order} came damaged, how do I return it?",
		"I cannot log in to see order {order}.", "Please change the email on my account, order {order} is in it.",
		"I forgot my password and need to check order {order}.", "My account is locked since order {order}.",
		"Delete my account once order {order} is closed.", "The app signs me out when I open order {order}.",
	}

	endings = []string{"Thanks!", "Please help.", "Regards, {name}", "This is urgent.", "Call me at 555 {phone}.", "I paid {paid} dollars."}

	customers = strings.Fields("Ana Ben Carla Dev Ema Farid Grace Hugo Ines Jonas Kim Lara Milo Nadia Omar Priya")
)

// kinds are n kinds of tickets, no two alike but for the customer.
func kinds(r *rand.Rand, n int) []string {
	n = min(n, len(openings)*len(matters)*len(endings))
	seen := map[string]bool{}
	out := make([]string, 0, n)
	for len(out) < n {
		kind := pick(r, openings) + " " + pick(r, matters) + " " + pick(r, endings)
		if !seen[kind] {
			seen[kind] = true
			out = append(out, strings.ReplaceAll(kind, "{name}", pick(r, customers)))
		}
	}
	return out
}

// tickets are times tickets of each kind, in any order.
func tickets(r *rand.Rand, kinds []string, times int) []string {
	var out []string
	for _, kind := range kinds {
		for range times {
			out = append(out, strings.NewReplacer(
				"{order}", strconv.Itoa(10_000+r.IntN(90_000)),
				"{phone}", strconv.Itoa(1000+r.IntN(9000)),
				"{paid}", strconv.Itoa(20+r.IntN(380)),
			).Replace(kind))
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
