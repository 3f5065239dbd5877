package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A command line of rsync's server side, as the calls of HAFS make rsync send it: flags in one word, which ends with capabilities (e.), options of their own,
// a dot and the share. Nothing else is understood, however harmless: an option that is not here may name a path or a program, or, as -s, fetch options that nobody
// has looked at.
var (
	rsyncFlags = regexp.MustCompile(`^-([a-zA-Z]+?)e[0-9.]*\.[a-zA-Z]*$`)
	// flags of -aHAXS with -n, -c and -x, and of lists of paths (R, d).
	rsyncLetters = "lHogDtpAXrScnRdx"
	rsyncOptions = []*regexp.Regexp{
		regexp.MustCompile(`^--(delete|delete-(before|during|delay|after|excluded|missing-args)|ignore-missing-args|force|ignore-errors)$`),
		regexp.MustCompile(`^--(numeric-ids|from0|no-r|dirs|no-implied-dirs|no-i-r|no-inc-recursive|omit-dir-times|no-W|fsync|sparse|partial)$`),
		regexp.MustCompile(`^--(timeout|bwlimit|max-delete|modify-window)=[0-9.]+[KkMm]?$`),
		regexp.MustCompile(`^--(log-format=(X|%i|%i%I|%o)|(checksum|compress)-choice=[a-z0-9,]+)$`),
		regexp.MustCompile(`^-@-?[0-9]+$`),
	}
)

// allowRsync checks the direction and that nothing but the share is named.
func allowRsync(o Order, directory string) error {
	words := o.Rsync[1:] // --server
	sender := len(words) > 0 && words[0] == "--sender"
	if sender {
		words = words[1:]
	}
	if len(words) < 3 || words[len(words)-2] != "." || strings.TrimSuffix(words[len(words)-1], "/") != directory {
		return fmt.Errorf("rsync may name %s only", directory)
	}
	flags, letters := rsyncFlags.FindStringSubmatch(words[0]), rsyncLetters
	if o.Kind == Pull {
		letters += "b" // as --backup-dir: of the server that pulls
	}
	if flags == nil || strings.Trim(flags[1], letters) != "" {
		return fmt.Errorf("rsync's flags %s are not allowed here", words[0])
	}
	for options := words[1 : len(words)-2]; len(options) > 0; options = options[1:] {
		name, _, joined := strings.Cut(options[0], "=")
		if o.Kind == Pull && name == "--backup-dir" { // rsync tells the sender too, which makes no copies
			if !joined && len(options) > 1 {
				options = options[1:]
			}
			continue
		}
		if !slices.ContainsFunc(rsyncOptions, func(r *regexp.Regexp) bool { return r.MatchString(options[0]) }) {
			return fmt.Errorf("rsync option %s is not allowed here", name)
		}
	}
	switch {
	case o.Kind == Pull && !sender:
		return fmt.Errorf("a pull only reads")
	case o.Kind == Replica && sender:
		return fmt.Errorf("a replica is only written to")
	case o.Kind == Compare && !DryRun(o.Rsync) && !sender:
		return fmt.Errorf("a comparison writes nothing")
	}
	return nil
}

// DryRun says whether a command line of rsync's server side changes nothing. What follows e. are capabilities, not flags.
func DryRun(words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		flags := rsyncFlags.FindStringSubmatch(word)
		return flags != nil && strings.Contains(flags[1], "n")
	})
}
