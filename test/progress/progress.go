// Package progress shows on a terminal how far a measurement is, and nothing elsewhere.
package progress

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
)

// Bar is how far it is.
type Bar struct{ bar *progressbar.ProgressBar }

// New makes a bar of so many steps. Where the file is no terminal, it shows nothing.
func New(screen *os.File, steps int, what string) *Bar {
	info, err := screen.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &Bar{}
	}
	return on(screen, steps, what)
}

func on(screen io.Writer, steps int, what string) *Bar {
	return &Bar{progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(screen), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish())}
}

// Step notes that one more is done.
func (b *Bar) Step() {
	if b.bar != nil {
		_ = b.bar.Add(1) // a terminal that is gone shows nothing
	}
}

// Above writes lines that stay on the screen, above the bar.
func (b *Bar) Above(out io.Writer) io.Writer { return above{b, out} }

type above struct {
	*Bar
	out io.Writer
}

func (a above) Write(p []byte) (int, error) {
	if a.bar != nil {
		_ = a.bar.Clear()
	}
	n, err := a.out.Write(p)
	if a.bar != nil && !a.bar.IsFinished() {
		_ = a.bar.RenderBlank()
	}
	return n, err
}
