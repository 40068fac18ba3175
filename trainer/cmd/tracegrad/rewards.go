package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newRewards() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rewards",
		Short: "Check, test and compare reward rules",
		Long: `A rewards file says what a good trajectory is; docs/rewards.md specifies it. These
commands show what it means before it is deployed, and what it says of history.`,
		Example: "  tracegrad rewards check rewards.yaml\n  tracegrad rewards test rewards.yaml\n  tracegrad rewards score rewards.yaml --dataset dataset\n  tracegrad rewards backtest rewards.yaml new.yaml\n  tracegrad rewards drift rewards.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: check, test, score, backtest or drift")}
		},
	}
	cmd.AddCommand(newRewardsCheck(), newRewardsTest(), newRewardsScore(), newRewardsBacktest(), newRewardsDrift())
	return cmd
}
