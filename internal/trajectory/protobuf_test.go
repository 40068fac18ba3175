package trajectory_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
)

func schema(t *testing.T) protoreflect.MessageDescriptor {
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"../../docs"}}}
	files, err := c.Compile(context.Background(), "trajectory.proto")
	require.NoError(t, err)
	d := files[0].Messages().ByName("Trajectory")
	require.NotNil(t, d)
	return d
}

// What we write, protobuf reads without a field it does not know, and what it
// writes in turn we read back whole.
func TestEncodingIsProtobuf(t *testing.T) {
	d := schema(t)
	for seed := range uint64(300) {
		want := trajectorytest.Random(rand.New(rand.NewPCG(seed, 2)))
		if seed == 0 {
			want = example()
		}
		ours := trajectory.Encode(want)
		m := dynamicpb.NewMessage(d)
		require.NoError(t, proto.Unmarshal(ours, m))
		requireKnown(t, m)

		theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		require.NoError(t, err)
		require.Len(t, theirs, len(ours), "seed %d: the same fields have the same size", seed)
		got, err := trajectory.Decode(theirs)
		require.NoError(t, err)
		require.Equal(t, want, got, "seed %d", seed)
	}
}

func requireKnown(t *testing.T, m protoreflect.Message) {
	t.Helper()
	require.Empty(t, m.GetUnknown(), m.Descriptor().Name())
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				requireKnown(t, v.List().Get(i).Message())
			}
		default:
			requireKnown(t, v.Message())
		}
		return true
	})
}

// The schema has a field for everything: a trajectory of which every part is
// set sets every field of the schema.
func TestSchemaHasNoUnusedField(t *testing.T) {
	d := schema(t)
	seen := map[protoreflect.FullName]bool{}
	for seed := range uint64(200) {
		m := dynamicpb.NewMessage(d)
		require.NoError(t, proto.Unmarshal(trajectory.Encode(trajectorytest.Random(rand.New(rand.NewPCG(seed, 3)))), m))
		mark(m, seen)
	}
	unused(t, d, seen)
}

func mark(m protoreflect.Message, seen map[protoreflect.FullName]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		seen[f.FullName()] = true
		if f.Kind() == protoreflect.MessageKind && f.IsList() {
			for i := range v.List().Len() {
				mark(v.List().Get(i).Message(), seen)
			}
		} else if f.Kind() == protoreflect.MessageKind {
			mark(v.Message(), seen)
		}
		return true
	})
}

func unused(t *testing.T, d protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		require.True(t, seen[f.FullName()], "%s is never written", f.FullName())
		if f.Kind() == protoreflect.MessageKind {
			unused(t, f.Message(), seen)
		}
	}
}
