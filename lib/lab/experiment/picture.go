package experiment

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"

	"hafs/lib/lab/workload"
)

// Picture is one failover as the client saw it: every operation at the time it began, by how long it took.
type Picture struct {
	Title, Subtitle string
	Failure         time.Time
	Marks           []Mark
	Operations      []workload.Operation
	From, To        time.Duration // what is shown, counted from the failure
	Outage          [2]time.Time  // end of the last good operation, end of the first good one; both zero: none
}

// Mark is a vertical line.
type Mark struct {
	At    time.Time
	Label string
	Color string
}

const (
	width, height            = 1120, 560
	left, right, top, bottom = 98, 28, 128, 92
	plotWidth, plotHeight    = width - left - right, height - top - bottom
	// The duration scale: a tenth of a millisecond to ten seconds.
	lowestMS, decades = 0.1, 5

	colorGood, colorSlow, colorFailed = "#2c6fa8", "#d98310", "#c0262d"
	colorText, colorQuiet, colorGrid  = "#1d2733", "#5b6875", "#e3e8ed"
)

func (p Picture) x(at time.Time) float64 {
	share := (at.Sub(p.Failure) - p.From).Seconds() / (p.To - p.From).Seconds()
	return left + share*plotWidth
}

func y(took time.Duration) float64 {
	ms := math.Max(float64(took)/float64(time.Millisecond), lowestMS)
	share := math.Min(math.Log10(ms/lowestMS)/decades, 1)
	return top + (1-share)*plotHeight
}

// SVG draws the picture.
func (p Picture) SVG(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" fill="%s">`+"\n",
		width, height, width, height, colorText)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(&b, left, 34, "font-size=\"20\" font-weight=\"bold\"", p.Title)
	text(&b, left, 56, fmt.Sprintf("fill=%q", colorQuiet), p.Subtitle)
	p.axes(&b)
	p.shade(&b)
	p.marks(&b)
	p.operations(&b)
	p.outage(&b)
	p.legend(&b)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func text(b *strings.Builder, x, y float64, attributes, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(s))
}

func (p Picture) axes(b *strings.Builder) {
	for i, label := range []string{"0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s"} {
		at := float64(top) + plotHeight*(1-float64(i)/decades)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s"/>`+"\n", left, at, left+plotWidth, at, colorGrid)
		text(b, left-10, at+4.5, fmt.Sprintf(`text-anchor="end" fill=%q`, colorQuiet), label)
	}
	for s := math.Ceil(p.From.Seconds()*2) / 2; s <= p.To.Seconds()+1e-9; s += 0.5 {
		at := p.x(p.Failure.Add(time.Duration(s * float64(time.Second))))
		whole := s == math.Trunc(s)
		length := 4.0
		if whole {
			length = 8
			text(b, at, top+plotHeight+24, `text-anchor="middle"`, fmt.Sprintf("%g", s))
		}
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", at, top+plotHeight, at, top+plotHeight+length, colorQuiet)
	}
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s"/>`+"\n", left, top+plotHeight, left+plotWidth, top+plotHeight, colorQuiet)
	text(b, left+plotWidth/2, top+plotHeight+48, `text-anchor="middle"`, "seconds from the failure")
	fmt.Fprintf(b, `<text x="24" y="%d" text-anchor="middle" transform="rotate(-90 24 %d)">duration of the operation</text>`+"\n", top+plotHeight/2, top+plotHeight/2)
}

// hasOutage tells an outage from the pause between two operations.
func (p Picture) hasOutage() bool {
	return !p.Outage[0].IsZero() && p.Outage[1].Sub(p.Outage[0]) >= workload.SlowLimit
}

// shade shows the time in which no operation was good.
func (p Picture) shade(b *strings.Builder) {
	if p.hasOutage() {
		from, to := p.x(p.Outage[0]), p.x(p.Outage[1])
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" opacity="0.09"/>`+"\n", from, top, to-from, plotHeight, colorFailed)
	}
}

// outage says how long that was.
func (p Picture) outage(b *strings.Builder) {
	if p.hasOutage() {
		label := fmt.Sprintf("no good operation for %.2f s", p.Outage[1].Sub(p.Outage[0]).Seconds())
		middle := (p.x(p.Outage[0]) + p.x(p.Outage[1])) / 2
		text(b, middle, top+plotHeight-12, fmt.Sprintf(`text-anchor="middle" fill=%q stroke="#ffffff" stroke-width="4" paint-order="stroke"`, colorFailed), label)
	}
}

const labelHeight, labelWidth = 16, 7.3 // of a line, and of a letter about

// marks puts each label on the first row where it does not touch another one.
func (p Picture) marks(b *strings.Builder) {
	var ends [3]float64
	for _, m := range p.Marks {
		at := p.x(m.At)
		label := fmt.Sprintf("%s %+.2f s", m.Label, m.At.Sub(p.Failure).Seconds())
		if m.At.Equal(p.Failure) {
			label = m.Label
		}
		row := 0
		for row < len(ends)-1 && at-4 < ends[row] {
			row++
		}
		length := float64(len(label)) * labelWidth
		start, anchor := at+3, "start"
		if start+length > width-right {
			start, anchor = at-3, "end"
		}
		ends[row] = at + 3 + length + 8
		height := float64(top) - 8 - float64(len(ends)-1-row)*labelHeight
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%d" stroke="%s" stroke-width="1.6" stroke-dasharray="5 3"/>`+"\n",
			at, height-11, at, top+plotHeight, m.Color)
		text(b, start, height, fmt.Sprintf(`text-anchor=%q fill=%q`, anchor, m.Color), label)
	}
}

// operations draws good ones as dots, slow ones as a bar from begin to end, failed ones as crosses.
func (p Picture) operations(b *strings.Builder) {
	for _, o := range p.shown() {
		x, y := p.x(o.Started()), y(o.Took())
		end := math.Min(p.x(o.Ended()), left+plotWidth)
		switch {
		case o.Outcome != workload.Good:
			fmt.Fprintf(b, `<path class="failed" d="M%.1f %.1fl8 8m0 -8l-8 8" stroke="%s" stroke-width="2" fill="none"><title>%s</title></path>`+"\n",
				x-4, y-4, colorFailed, html.EscapeString(fmt.Sprintf("%s %s: %s %s", o.Kind, o.File, o.Outcome, o.Error)))
			if end-x > 6 {
				fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`+"\n", x, y, end, y, colorFailed)
			}
		case o.Took() > workload.SlowLimit:
			fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2.4"/>`+"\n", x, y, end, y, colorSlow)
			fmt.Fprintf(b, `<path class="slow" d="M%.1f %.1fl5 9h-10z" fill="%s"/>`+"\n", x, y-6, colorSlow)
		default:
			fmt.Fprintf(b, `<circle class="good" cx="%.1f" cy="%.1f" r="2.4" fill="%s" fill-opacity="0.62"/>`+"\n", x, y, colorGood)
		}
	}
}

// shown are the operations that began within what is shown.
func (p Picture) shown() []workload.Operation {
	var all []workload.Operation
	for _, o := range p.Operations {
		if since := o.Started().Sub(p.Failure); since >= p.From && since <= p.To {
			all = append(all, o)
		}
	}
	return all
}

func (p Picture) legend(b *strings.Builder) {
	good, slow, failed := 0, 0, 0
	for _, o := range p.shown() {
		switch {
		case o.Outcome != workload.Good:
			failed++
		case o.Took() > workload.SlowLimit:
			slow++
		default:
			good++
		}
	}
	at, line := float64(left), float64(height-16)
	entry := func(mark, label string) {
		b.WriteString(mark + "\n")
		text(b, at+14, line, "", label)
		at += 14 + float64(len(label))*labelWidth + 34
	}
	entry(fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, at+4, line-4.5, colorGood), fmt.Sprintf("good (%d)", good))
	entry(fmt.Sprintf(`<path d="M%.1f %.1fl5 9h-10z" fill="%s"/>`, at+4, line-9, colorSlow), fmt.Sprintf("good, slower than %d ms (%d)", workload.SlowLimit.Milliseconds(), slow))
	entry(fmt.Sprintf(`<path d="M%.1f %.1fl8 8m0 -8l-8 8" stroke="%s" stroke-width="2" fill="none"/>`, at, line-8.5, colorFailed), fmt.Sprintf("failed (%d)", failed))
	text(b, width-right, line, fmt.Sprintf(`text-anchor="end" fill=%q`, colorQuiet), "a line shows how long an operation lasted")
}
