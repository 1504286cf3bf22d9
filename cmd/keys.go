package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/envbridge"
)

func newKeysCmd() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make the keys for simulator workers on other machines",
		Long: `Writes server.key for a worker and client.key for who trains, readable by their
owner alone: a pair of ZeroMQ CURVE keys each, and the public key of the other
side. Traffic is encrypted, and either side talks to the other alone. Nothing is
overwritten.`,
		Example: `  stein keys --out keys
  scp keys/server.key simulator:
  ssh simulator python -m stein_env.worker --listen tcp://0.0.0.0:5555 --key server.key
  stein train --config walker2d/sac --envs tcp://simulator:5555 --env-key keys/client.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, client, err := envbridge.GenerateKeys(dir)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s  for the worker: python -m stein_env.worker --listen tcp://HOST:PORT --key server.key\n%s  for training: stein train --envs tcp://HOST:PORT --env-key client.key\n", server, client)
			return nil
		},
	}
	cmd.Flags().StringVarP(&dir, "out", "o", ".", "folder for the keys")
	return cmd
}
