package decide

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, written as PostgreSQL does: 0/16B3748.
type LSN uint64

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText writes the position as PostgreSQL does.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText and PostgreSQL write.
func (l *LSN) UnmarshalText(text []byte) error {
	parsed, err := ParseLSN(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

// ParseLSN reads a position as PostgreSQL writes it.
func ParseLSN(text string) (LSN, error) {
	high, low, found := strings.Cut(text, "/")
	if !found {
		return 0, fmt.Errorf("read log position %q: no slash", text)
	}
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("read log position %q: %w", text, err)
	}
	l, err := strconv.ParseUint(low, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("read log position %q: %w", text, err)
	}
	return LSN(h<<32 | l), nil
}

// Position is how far a server's data reach. Of two, the one on the later
// timeline is ahead; on the same timeline the one with the greater LSN.
type Position struct {
	Timeline uint32 `json:"timeline"`
	LSN      LSN    `json:"lsn"`
}

// Ahead says whether p has something that q lacks.
func (p Position) Ahead(q Position) bool {
	if p.Timeline != q.Timeline {
		return p.Timeline > q.Timeline
	}
	return p.LSN > q.LSN
}

// reaches says whether p is on the same timeline as q and has all of it.
func (p Position) reaches(q Position) bool { return p.Timeline == q.Timeline && p.LSN >= q.LSN }

func (p Position) String() string { return fmt.Sprintf("%d:%s", p.Timeline, p.LSN) }

// Fork says where a timeline begins: Timeline left its parent at LSN. A server's
// history is the list of forks of its timelines, oldest first, without the first
// timeline (PostgreSQL's .history file, one line further).
type Fork struct {
	Timeline uint32 `json:"timeline"`
	LSN      LSN    `json:"lsn"`
}
