package cmd

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
)

func (a *app) configsCmd() *cobra.Command {
	var asJSON bool
	list := &cobra.Command{
		Use:   "configs",
		Short: "List the embedded configurations, or show one",
		Example: `  stein configs
  stein configs show walker2d/sac > mine.yaml
  stein train --config mine.yaml`,
		Args: knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return a.listConfigs(asJSON)
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "as JSON")

	var sets []string
	show := &cobra.Command{
		Use:               "show NAME",
		Short:             "Print a configuration with everything it extends, as YAML",
		Example:           "  stein configs show walker2d/sac --set schedule.batch_size=100",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeAllConfigs,
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := a.resolved(args[0], sets)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	setFlag(show, &sets)
	list.AddCommand(show)
	return list
}

// resolved returns a configuration of an agent or an image model as YAML.
func (a *app) resolved(name string, sets []string) ([]byte, error) {
	plan, err := a.catalog.Plan(name, "", sets)
	if err != nil {
		return nil, usageError{err}
	}
	return plan.Text, nil
}

func (a *app) listConfigs(asJSON bool) error {
	type entry struct {
		Name  string `json:"name"`
		Env   string `json:"env"`   // of an image model: its data set
		Steps int64  `json:"steps"` // of an image model: updates
		About string `json:"about"`
	}
	var all []entry
	for _, name := range experiments.Names() {
		cfg, err := a.catalog.Resolve(name, nil)
		if err != nil {
			return err
		}
		all = append(all, entry{name, cfg.Env.ID, cfg.Steps, cfg.About})
	}
	for _, name := range experiments.ImageNames() {
		cfg, err := experiments.ResolveImages(name, "", nil)
		if err != nil {
			return err
		}
		all = append(all, entry{name, cfg.Data.Name, cfg.Updates, cfg.About})
	}
	if asJSON {
		return a.printJSON(all)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, e := range all {
		fmt.Fprintf(w, "%s\t%s\n", e.Name, e.About)
	}
	return w.Flush()
}

// setFlag adds --set, repeatable, with key=value.
func setFlag(cmd *cobra.Command, sets *[]string) {
	cmd.Flags().StringArrayVar(sets, "set", nil, "override a setting: key=value, such as agent.gamma=0.98 (repeatable)")
}

func completeConfigs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return experiments.Names(), cobra.ShellCompDirectiveDefault // file names are completed too
}

func completeAllConfigs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return experiments.AllNames(), cobra.ShellCompDirectiveDefault
}
