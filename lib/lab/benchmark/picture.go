package benchmark

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Pictures are the measurements of each work as drawings, by name: a row for each subject, a dot for each median, a line to the 99th percentile of a
// long series. The scale is logarithmic, as subjects differ a thousandfold.
func (r *Report) Pictures() map[string]string {
	all := map[string]string{}
	for _, work := range works {
		whats, subjects := r.axes(work.name)
		byUnit := map[string][]string{}
		for _, what := range whats {
			unit := r.unit(work.name, what)
			byUnit[unit] = append(byUnit[unit], what)
		}
		for unit, whats := range byUnit {
			name := work.name
			if len(byUnit) > 1 {
				name += "-" + strings.Trim(strings.Map(letter, unit), "-")
			}
			if svg := r.draw(work, unit, whats, subjects); svg != "" {
				all[name] = svg
			}
		}
	}
	return all
}

func letter(c rune) rune {
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		return c
	}
	return '-'
}

const (
	plotLeft, plotRight, plotTop = 190, 40, 96
	plotWidth                    = 760
	laneHeight, rowPad           = 17, 12
	legendHeight                 = 20
	textColor, quietColor        = "#1d2733", "#5b6875"
	gridColor, bandColor         = "#e3e8ed", "#f6f8fa"
)

// colors of series, which are told apart by their shapes' places too: each has a lane of its own in a row.
var colors = []string{"#2c6fa8", "#d98310", "#0a7d5c", "#8a3ffc", "#c0262d", "#4d5a66", "#1aa3b8", "#a56a00", "#b5338a"}

// axis is a logarithmic scale of whole decades.
type axis struct{ low, high int }

func axisOf(values []float64) axis {
	a := axis{math.MaxInt, math.MinInt}
	for _, v := range values {
		if v > 0 {
			a.low = min(a.low, int(math.Floor(math.Log10(v))))
			a.high = max(a.high, int(math.Ceil(math.Log10(v))))
		}
	}
	a.high = max(a.high, a.low+1)
	return a
}

func (a axis) x(v float64) float64 {
	share := 0.0
	if v > 0 {
		share = (math.Log10(v) - float64(a.low)) / float64(a.high-a.low)
	}
	return plotLeft + plotWidth*min(max(share, 0), 1)
}

// draw is empty when there is nothing above zero to draw.
func (r *Report) draw(work work, unit string, whats, subjects []string) string {
	var values []float64
	subjects = slices.DeleteFunc(slices.Clone(subjects), func(s string) bool {
		return !slices.ContainsFunc(whats, func(what string) bool { return r.find(s, work.name, what) != nil })
	})
	for _, s := range subjects {
		for _, what := range whats {
			if m := r.find(s, work.name, what); m != nil {
				values = append(values, m.P50, m.P99)
			}
		}
	}
	if !slices.ContainsFunc(values, func(v float64) bool { return v > 0 }) {
		return ""
	}
	scale := axisOf(values)
	row := laneHeight*len(whats) + rowPad
	bottom := plotTop + row*len(subjects)
	width, height := plotLeft+plotWidth+plotRight+60, bottom+58+legendHeight*len(whats)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" fill="%s">`+"\n",
		width, height, width, height, textColor)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	label(&b, 20, 32, `font-size="17" font-weight="bold"`, work.title)
	note := "medians; logarithmic scale"
	if slices.ContainsFunc(r.Measurements, func(m Measurement) bool { return m.Work == work.name && m.P99 > 0 }) {
		note = "a dot is the median, the line leads to the 99th percentile; logarithmic scale"
	}
	label(&b, 20, 54, fmt.Sprintf("fill=%q", quietColor), note)
	for i := range subjects {
		if i%2 == 0 {
			fmt.Fprintf(&b, `<rect x="0" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", plotTop+row*i, width, row, bandColor)
		}
	}
	for d := scale.low; d <= scale.high; d++ {
		x := scale.x(math.Pow10(d))
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`+"\n", x, plotTop, x, bottom, gridColor)
		text := fmt.Sprintf("%g %s", math.Pow10(d), unit)
		label(&b, x, float64(bottom+20), fmt.Sprintf(`text-anchor="middle" fill=%q`, quietColor), text)
	}
	for i, s := range subjects {
		label(&b, plotLeft-14, float64(plotTop+row*i+row/2)+4.5, `text-anchor="end"`, s)
		for j, what := range whats {
			if m := r.find(s, work.name, what); m != nil {
				r.dot(&b, scale, *m, float64(plotTop+row*i+rowPad/2+laneHeight*j)+laneHeight/2, colors[j%len(colors)])
			}
		}
	}
	for j, what := range whats {
		y := float64(bottom + 46 + legendHeight*j)
		fmt.Fprintf(&b, `<circle cx="%d" cy="%.1f" r="5" fill="%s"/>`+"\n", plotLeft+6, y-4.5, colors[j%len(colors)])
		label(&b, plotLeft+20, y, "", what)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (r *Report) dot(b *strings.Builder, scale axis, m Measurement, y float64, color string) {
	x, end := scale.x(m.P50), scale.x(m.P50)
	text := number(m.P50)
	if m.P99 > 0 {
		end = scale.x(m.P99)
		text += " / " + number(m.P99)
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1fm0 -4v8" stroke="%s" stroke-width="2" fill="none"/>`+"\n", x, y, end, color)
	}
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`+"\n", x, y, color)
	label(b, end+10, y+4, fmt.Sprintf(`font-size="11" fill=%q`, quietColor), text)
}

func label(b *strings.Builder, x, y float64, attributes, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(text))
}
