package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// ordinary writes a request to a web shop: a server span, calls to a database,
// a cache and another service below it.
func ordinary(out *spans, r *rand.Rand) {
	out.scope("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.69.0")
	order := r.IntN(1e6)
	for i := range SpansPerTrace - 1 {
		took := time.Duration(200+r.IntN(9000)) * time.Microsecond
		switch i % 4 {
		case 0, 2:
			at := out.add("SELECT shop.orders", ptrace.SpanKindClient, took)
			at.PutStr("db.system.name", "postgresql")
			at.PutStr("db.namespace", "shop")
			at.PutStr("db.operation.name", "SELECT")
			at.PutStr("db.collection.name", "orders")
			at.PutStr("db.query.text", "SELECT id, customer_id, state, total FROM orders WHERE customer_id = $1 AND state <> $2 ORDER BY id DESC LIMIT 20")
			at.PutStr("server.address", "orders-db.shop.svc")
			at.PutInt("server.port", 5432)
		case 1:
			at := out.add("GET", ptrace.SpanKindClient, took)
			at.PutStr("db.system.name", "redis")
			at.PutStr("db.operation.name", "GET")
			at.PutStr("db.query.text", fmt.Sprintf("GET order:%d", order))
			at.PutStr("server.address", "cache.shop.svc")
			at.PutInt("server.port", 6379)
		case 3:
			at := out.add("GET /v1/prices", ptrace.SpanKindClient, took)
			at.PutStr("http.request.method", "GET")
			at.PutStr("url.full", fmt.Sprintf("http://prices.shop.svc/v1/prices?order=%d", order))
			at.PutInt("http.response.status_code", 200)
			at.PutStr("server.address", "prices.shop.svc")
			at.PutInt("server.port", 80)
			at.PutStr("network.protocol.version", "1.1")
		}
	}
	root := out.addRoot("GET /orders/{id}", ptrace.SpanKindServer)
	root.PutStr("http.request.method", "GET")
	root.PutStr("http.route", "/orders/{id}")
	root.PutStr("url.path", fmt.Sprintf("/orders/%d", order))
	root.PutStr("url.scheme", "https")
	root.PutInt("http.response.status_code", 200)
	root.PutStr("client.address", "10.1.2.3")
	root.PutStr("network.protocol.version", "1.1")
	root.PutStr("server.address", "shop.example")
	root.PutInt("server.port", 443)
	root.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0")
}
