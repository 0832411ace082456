package manifest_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

func TestWhatIsShownReadsBackTheSame(t *testing.T) {
	texts := rapid.OneOf(
		rapid.SampledFrom([]string{
			"yes", "n", "Y", "1.0", "1.0.0", "0755", "08", "1e3", "<redacted>", "((x))", "-", "- a", "a: b", "a:", "#x", "x #y", "*a", "&a", "", " ",
			" lead", "trail ", "multi\nline", "multi\nline\n", "x\n", "\n", "\nx", "it's", `say "hi"`, "~", "null", "12:30", "2020-01-01", ".5", ".",
			"---", "--- a", "<<", "!x", "%x", "@x", "`x", "{a}", "[a]", "?", ":", ":sym", "tab\tx", "é", "a\n\nb\n", "  a\nb", "x\n\n", "\"", "'", "|", "x\n---\ny", "\u0085", "\x1b[0m",
		}),
		rapid.StringN(0, 12, -1),
	)
	scalars := rapid.OneOf(rapid.Map(texts, func(s string) any { return s }),
		rapid.Map(rapid.IntRange(-1e6, 1e6), func(n int) any { return n }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any](nil), rapid.Just[any](psych.Float(1)), rapid.Just[any](psych.Float(1e20)))
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return scalars
		}
		below := value(depth - 1)
		return rapid.OneOf(scalars,
			rapid.Map(rapid.SliceOfN(below, 0, 3), func(l []any) any { return append([]any{}, l...) }),
			rapid.Map(rapid.MapOfN(texts, below, 0, 3), func(m map[string]any) any { return m }))
	}
	rapid.Check(t, func(t *rapid.T) {
		tree := map[string]any{"key": value(3).Draw(t, "value")}
		text := manifest.DocumentOf(tree).YAML()
		back, err := manifest.ReadConfig(text)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if got := back.Tree(); !reflect.DeepEqual(got, tree) {
			t.Fatalf("got %#v\nwant %#v\nfrom:\n%s", got, tree, text)
		}
	})
}
