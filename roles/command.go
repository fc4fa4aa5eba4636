package roles

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"eshop/pkg/config"

	"github.com/spf13/cobra"
)

// command is one command before cobra knows it: a name, texts, flags, and what it does. Its flags
// stand in a set, from which help, the file's keys and the README's table come.
type command struct {
	name, short, long string
	examples          []string // "what it does\neshop gateway …"
	words             string   // placeholder for words that are no flags; empty: none are taken
	hidden            bool
	define            func(set *config.Set, s *settings)
	// prepare turns settings into something that runs. It adds to problems whatever no single flag
	// can know, and is called even when there are some already, so that all are seen at once.
	prepare func(s *settings, loaded config.Loaded, words []string, problems *config.Problems) run
}

// commands lists all of them, in the order of the help.
func commands() []command {
	return []command{allCommand(), gatewayCommand(), cacheCommand(), hotcountCommand(), publishCommand(), bootstrapCommand(), doctorCommand(), unitCommand(), monitoringCommand(), versionCommand(), healthCommand()}
}

const rootText = `eshop serves the product pages of a shop at very high read load and keeps them fresh.

It stands between the shop's customers and the shop's own services, on three engines: Redis Cluster
holds the documents, Kafka carries changes and invalidations, ZooKeeper orders the writers. On a
laptop "eshop all" needs none of them: it brings small ones of its own.`

// newRoot returns the command line of one call. Args are kept beside cobra's own copy because it
// loses what it does not know.
func newRoot(p process, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "eshop",
		Short:         "Product pages at high load, always fresh",
		Long:          rootText,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) > 0 {
				return unknownCommand(cmd, words[0])
			}
			return errors.New("no command is given; see eshop --help")
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help-command"})
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), rootHelp(commands())) })
	all := commands()
	sources := sourcesOf(p, all)
	for _, c := range all {
		root.AddCommand(c.cobra(p, args, sources))
	}
	return root
}

// rootHelp is the text of eshop --help.
func rootHelp(all []command) string {
	var b strings.Builder
	b.WriteString(rootText + "\n\nCommands:\n")
	for _, c := range all {
		if !c.hidden {
			fmt.Fprintf(&b, "  %-12s%s\n", c.name, c.short)
		}
	}
	b.WriteString("\nEach of them explains itself and its flags: eshop <command> --help\n")
	return b.String()
}

// sourcesOf says where a command's settings come from, and what others there are.
func sourcesOf(p process, all []command) config.Sources {
	sources := config.Sources{Environ: p.environ, FileFlag: "config", Known: knownSettings(all)}
	for _, c := range all {
		set, _, _ := c.flags()
		sources.Others = append(sources.Others, set)
	}
	return sources
}

// knownSettings lists the settings of all commands: what a file may hold.
func knownSettings(all []command) []string {
	var known []string
	seen := make(map[string]bool)
	for _, c := range all {
		set, _, _ := c.flags()
		for _, name := range set.Names() {
			if !seen[name] {
				seen[name] = true
				known = append(known, name)
			}
		}
	}
	return known
}

// flags defines the command's flags on a fresh cobra command.
func (c command) flags() (*config.Set, *settings, *cobra.Command) {
	cmd := &cobra.Command{
		Use:                strings.TrimSpace(c.name + " [flags] " + c.words),
		Short:              c.short,
		Hidden:             c.hidden,
		Args:               cobra.ArbitraryArgs, // checked with everything else
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},

		DisableFlagsInUseLine: true,
	}
	s := new(settings)
	set := config.Wrap(cmd.Flags())
	if c.define != nil {
		c.define(set, s)
	}
	set.Reloadable(reloadable()...)
	set.Reread(reread()...)
	return set, s, cmd
}

// cobra builds the command.
func (c command) cobra(p process, args []string, sources config.Sources) *cobra.Command {
	set, s, cmd := c.flags()
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), c.help(set)) })
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		rest := argsOf(cmd, args)
		set.CheckArgs(rest, c.words != "")
		p.reread = func() *reading { return c.reread(rest, sources) }
		return c.load(cmd.Context(), p, &reading{set: set, s: s}, sources, words, nil)
	}
	// The one mistake pflag still stops at is a flag at the very end without its value, so everything
	// before it has been parsed.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		rest := argsOf(cmd, args)
		set.CheckArgs(rest[:max(0, len(rest)-1)], c.words != "")
		return c.load(cmd.Context(), p, &reading{set: set, s: s}, sources, nil, err)
	})
	return cmd
}

// argsOf returns what follows the command's name on the command line.
func argsOf(cmd *cobra.Command, args []string) []string {
	if _, rest, err := cmd.Root().Find(args); err == nil {
		return rest
	}
	return nil
}

// load completes the settings and runs the command, unless something is wrong with them.
func (c command) load(ctx context.Context, p process, r *reading, sources config.Sources, words []string, parse error) error {
	r.load(sources)
	s := r.s
	r.problems.AddError("", parse)
	start := c.prepare(s, r.loaded, words, &r.problems)
	r.set.Locate(r.loaded, r.problems)
	if err := r.problems.Err(); err != nil {
		return err
	}
	if s.process.check {
		if err := r.set.Print(p.stdout, r.loaded); err != nil {
			return ran{err}
		}
		return nil
	}
	if len(r.loaded.Unused) > 0 {
		p.logger(s.process.logLevel, s.process.logFormat).Warn("environment variables that belong to no setting", "names", r.loaded.Unused)
	}
	p.settings = r.set.Settings(r.loaded)
	err := start(ctx, p)
	if err == nil || errors.As(err, new(config.Problems)) { // the roles find some settings wrong that were let pass above
		return err
	}
	return ran{err}
}

// help is the text of eshop <command> --help.
func (c command) help(set *config.Set) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  eshop %s\n\n", strings.TrimSpace(c.long), strings.TrimSpace(c.name+" [flags] "+c.words))
	if len(c.examples) > 0 {
		b.WriteString("Examples:\n")
		for _, example := range c.examples {
			what, line, _ := strings.Cut(example, "\n")
			fmt.Fprintf(&b, "  # %s\n  %s\n\n", what, strings.ReplaceAll(line, "\n", "\n  "))
		}
	}
	b.WriteString(set.Help())
	if len(set.Names()) > 0 {
		fmt.Fprintf(&b, "A flag that is not given is looked for in the environment (--kafka.brokers: %s) and then in the\nfile that --config names (kafka: {brokers: …}). --check-config shows what came out.\n", config.EnvName("kafka.brokers"))
	}
	return b.String()
}

// unknownCommand names the commands there are.
func unknownCommand(root *cobra.Command, word string) error {
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("%q is no command; there are %s", word, strings.Join(names, ", "))
}
