package cmd

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/stein-rl/stein/internal/settings"
)

// logFlags select the level and format of the log on stderr.
type logFlags struct{ level, format string }

var logFormats = []string{"auto", "text", "json"}

func (l *logFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&l.level, "log-level", "info", "level of the log on stderr: debug, info, warn or error")
	flags.StringVar(&l.format, "log-format", "auto", "text, json, or auto: text on a terminal")
}

func (l *logFlags) check() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return fmt.Errorf("--log-level %s: want debug, info, warn or error", l.level)
	}
	if !slices.Contains(logFormats, l.format) {
		return fmt.Errorf("--log-format %s: want %s%s", l.format, strings.Join(logFormats, ", "),
			didYouMean(settings.Nearest(l.format, logFormats)))
	}
	return nil
}

// handler logs to w: text for people, JSON for programs. The text omits the date.
func (l *logFlags) handler(w io.Writer, terminal bool) slog.Handler {
	var level slog.Level
	level.UnmarshalText([]byte(l.level)) // validated by check
	if l.format == "text" || l.format == "auto" && terminal {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05"))
			}
			return a
		}})
	}
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
}

// ofRun is handler for the log of one run. JSON lines carry its id, because programs read
// the logs of many runs.
func (l *logFlags) ofRun(w io.Writer, terminal bool, id string) slog.Handler {
	h := l.handler(w, terminal)
	if _, structured := h.(*slog.JSONHandler); structured {
		h = h.WithAttrs([]slog.Attr{slog.String("run", id)})
	}
	return h
}

// quieter is handler for commands whose results say everything: it drops info unless the
// level is debug.
func (l logFlags) quieter(w io.Writer, terminal bool) slog.Handler {
	if l.level == "info" {
		l.level = "warn"
	}
	return l.handler(w, terminal)
}

// isTerminal reports whether w is a terminal that can move its cursor.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// width is the number of columns of a terminal.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}
