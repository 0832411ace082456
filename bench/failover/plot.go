package main

import (
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// Size of a panel: one a setup, below each other.
const (
	width       = 24 * vg.Centimeter
	panelHeight = 6 * vg.Centimeter
)

// What is shown beside the fault, in seconds.
const (
	before = 2.0
	after  = 10.0 // after the cluster was whole, or the writes were back
	most   = 75.0 // a cluster that stays broken shows nothing new
)

// lines are the clients that are drawn, in that order.
var lines = []struct {
	client, legend string
	color          color.Color
}{
	{report.Alias, "through the alias", color.RGBA{R: 0x1f, G: 0x5f, B: 0xa8, A: 0xff}},
	{report.Isolated, "on the isolated side", color.RGBA{R: 0xc0, G: 0x39, B: 0x2b, A: 0xff}},
}

// picture makes the picture of a fault.
func picture(path, fault string, runs []report.Run) (err error) {
	panels := make([][]*plot.Plot, len(runs))
	end := span(runs)
	for i, run := range runs {
		p, err := panel(run, fault, end)
		if err != nil {
			return err
		}
		panels[i] = []*plot.Plot{p}
	}
	canvas := vgsvg.New(width, panelHeight*vg.Length(len(runs)))
	tiles := draw.Tiles{Rows: len(runs), Cols: 1, PadY: 3 * vg.Millimeter}
	for i, row := range plot.Align(panels, tiles, draw.New(canvas)) {
		panels[i][0].Draw(row[0])
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// mark is a moment that is drawn as an upright line.
type mark struct {
	at     float64
	legend string
	color  color.Color
}

// span is how many seconds after the fault all panels show.
func span(runs []report.Run) float64 {
	end := 0.0
	for _, run := range runs {
		last := max(run.WriteOutage, run.HealedAfter)
		if run.Healthy != nil {
			last = max(last, run.HealedAfter+*run.Healthy)
		}
		end = max(end, last+after)
	}
	return min(end, most)
}

func panel(run report.Run, fault string, end float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: %s %s (%s), outage %.2f s, %d of %d rows lost", fault, run.System, run.Plan, run.Replication, run.WriteOutage, run.Lost.Rows, run.Acknowledged)
	p.X.Label.Text, p.Y.Label.Text = "seconds from the fault", "writes per 100 ms"
	p.X.Min, p.X.Max, p.Y.Min = -before, end, 0
	p.Legend.Top = true
	for _, l := range lines {
		counts := run.Writes[l.client]
		if len(counts) == 0 {
			continue
		}
		line, err := plotter.NewLine(points(counts, run.FaultBucket, end))
		if err != nil {
			return nil, err
		}
		line.StepStyle, line.Color, line.Width = plotter.PostStep, l.color, vg.Points(1)
		p.Add(line)
		p.Legend.Add(l.legend, line)
	}
	p.Y.Max = 3
	marks := []mark{{0, "fault", color.Black}, {run.HealedAfter, "healed", color.Gray{Y: 0x80}}}
	if run.Healthy != nil {
		marks = append(marks, mark{run.HealedAfter + *run.Healthy, "whole again", color.RGBA{R: 0x27, G: 0x8a, B: 0x4b, A: 0xff}})
	}
	for _, m := range marks {
		line, err := plotter.NewLine(plotter.XYs{{X: m.at, Y: 0}, {X: m.at, Y: p.Y.Max}})
		if err != nil {
			return nil, err
		}
		line.Color, line.Dashes = m.color, []vg.Length{vg.Points(3), vg.Points(2)}
		p.Add(line)
		p.Legend.Add(m.legend, line)
	}
	return p, nil
}

func points(counts []int, fault int, end float64) plotter.XYs {
	var all plotter.XYs
	for i, count := range counts {
		at := float64(i-fault) * report.Bucket.Seconds()
		if at >= -before && at <= end {
			all = append(all, plotter.XY{X: at, Y: float64(count)})
		}
	}
	return all
}
