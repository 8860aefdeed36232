package formatters

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

func (w *writer) table(t *east.Table) {
	w.apart()
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		if w.full() {
			w.left = true
			break
		}
		at := w.position
		w.row(row)
		if w.left && !at.left && row.PreviousSibling() != nil {
			w.back(at) // rather no row than half of one
			w.left = true
			w.room = 0
			break
		}
		if row.Kind() == east.KindTableHeader {
			w.line(alignments(t.Alignments))
			w.count--
		}
	}
	w.apart()
}

// alignments is the line under the header of a table.
func alignments(columns []east.Alignment) string {
	marks := map[east.Alignment]string{east.AlignLeft: "|:--", east.AlignRight: "|--:", east.AlignCenter: "|:-:"}
	var b strings.Builder
	for _, a := range columns {
		if m, ok := marks[a]; ok {
			b.WriteString(m)
		} else {
			b.WriteString("|---")
		}
	}
	return b.String() + "|"
}

func (w *writer) row(row ast.Node) {
	w.inCell = true
	var b strings.Builder
	b.WriteByte('|')
	for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
		w.inlines(cell)
		b.WriteByte(' ')
		b.WriteString(strings.TrimSpace(string(w.buf)))
		b.WriteString(" |")
		w.buf = w.buf[:0]
	}
	w.inCell = false
	w.line(b.String())
}
