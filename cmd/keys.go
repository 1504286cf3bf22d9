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
		Short: "Create the keys for simulator workers on other machines",
		Long: `Writes server.key for a worker and client.key for the trainer, readable by their owner
only. Each holds a ZeroMQ CURVE key pair and the public key of the other side. Traffic
is encrypted, and each side accepts only the other. Existing files are not overwritten.`,
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
