package normalize

import "fmt"

// Moments are running means and variances of D numbers, updated by batch (Chan, Golub and
// LeVeque 1979) as in Stable-Baselines3's RunningMeanStd: they start from 1e-4 samples
// with mean 0 and variance 1, and the variance has divisor n.
type Moments struct {
	Mean  []float64 `json:"mean"` // [D]
	Var   []float64 `json:"var"`  // [D]
	Count float64   `json:"count"`
}

func newMoments(dim int) Moments {
	m := Moments{Mean: make([]float64, dim), Var: make([]float64, dim), Count: 1e-4}
	for i := range m.Var {
		m.Var[i] = 1
	}
	return m
}

// add updates the moments with rows, [N*D].
func add[T float32 | float64](m *Moments, rows []T) {
	dim := len(m.Mean)
	n := float64(len(rows) / dim)
	total := m.Count + n
	for d := range dim {
		sum := 0.0
		for i := d; i < len(rows); i += dim {
			sum += float64(rows[i])
		}
		mean := sum / n
		squares := 0.0 // around the batch's mean, to keep digits if it is large
		for i := d; i < len(rows); i += dim {
			squares += (float64(rows[i]) - mean) * (float64(rows[i]) - mean)
		}
		delta := mean - m.Mean[d]
		m.Mean[d] += delta * n / total
		m.Var[d] = (m.Var[d]*m.Count + squares + delta*delta*m.Count*n/total) / total
	}
	m.Count = total
}

// check validates moments read from a file.
func (m Moments) check(name string, dim int) error {
	if len(m.Mean) != dim || len(m.Var) != dim {
		return fmt.Errorf("normalize: the state has %d means and %d variances of the %s, this run's has %d numbers", len(m.Mean), len(m.Var), name, dim)
	}
	for i := range dim {
		if !finite(m.Mean[i:i+1]) || !finite(m.Var[i:i+1]) || m.Var[i] < 0 {
			return fmt.Errorf("normalize: the state has mean %v and variance %v of %s %d", m.Mean[i], m.Var[i], name, i)
		}
	}
	if !finite([]float64{m.Count}) || m.Count <= 0 {
		return fmt.Errorf("normalize: the state has %v samples of the %s", m.Count, name)
	}
	return nil
}

func (m Moments) clone() Moments {
	return Moments{append([]float64{}, m.Mean...), append([]float64{}, m.Var...), m.Count}
}

func finite[T float32 | float64](values []T) bool {
	for _, x := range values {
		if x-x != 0 { // NaN or infinite
			return false
		}
	}
	return true
}
