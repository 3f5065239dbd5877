package guests

import (
	"context"
	"fmt"
)

// Cut cuts one more cable.
func (l *Lab) Cut(ctx context.Context, c Cut) error {
	return l.changeCuts(ctx, "cut", func(cuts []Cut) []Cut { return AddCut(cuts, c) })
}

// Heal takes back the cuts that touch one of the guests; without a guest all of them.
func (l *Lab) Heal(ctx context.Context, names ...string) error {
	return l.changeCuts(ctx, "heal", func(cuts []Cut) []Cut { return HealCuts(cuts, names...) })
}

func (l *Lab) changeCuts(ctx context.Context, word string, change func([]Cut) []Cut) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	cuts, err := l.Cuts()
	if err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	cuts = change(cuts)
	l.Log.Info().Stringers("cuts", stringers(cuts)).Msg(word)
	if err := l.applyCuts(ctx, cuts); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

func stringers(cuts []Cut) []fmt.Stringer {
	var all []fmt.Stringer
	for _, c := range cuts {
		all = append(all, c)
	}
	return all
}
