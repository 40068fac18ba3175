package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer"
	"github.com/tracegrad/tracegrad/trainer/reroll"
)

type rerollFlags struct {
	config, dataset, rewards string
	url, model, out          string
	agents, taskFacts        []string
	where                    string
	holdout, noSeed          bool
	most, rollouts           int
	concurrency              int
	seed                     uint64
	temperature, topP        float64
	topK, maxTokens          int64
	dryRun, asJSON           bool
}

func newReroll() *cobra.Command {
	var f rerollFlags
	cmd := &cobra.Command{
		Use:   "reroll",
		Short: "Let a model answer logged prompts again",
		Long: `Reroll asks a server of OpenAI's protocol, such as vLLM, for rollouts of logged
prompts: the messages and tools of a trajectory's first model call, without what
a bundle had added. When the model calls a tool as a logged attempt at the same
prompt did, by name and arguments, it gets the result that was recorded then;
otherwise the rollout ends there, and is counted. Nothing is made up.

Sampling is as it was logged unless a flag says otherwise. Seeds follow from
--seed, the prompt and the index of the rollout, so that two models are asked
under the same chance. Token ids and log-probabilities are kept where the server
gives them.

Rollouts are trajectories (source: reroll) in a dataset of their own. The same
command goes on where an interrupted one stopped. With --config, what a
train.yaml says of dataset, rewards, where, agents and the gate's holdout holds,
unless a flag says otherwise. The server's key is read from the environment
variable TRACEGRAD_SERVER_KEY.`,
		Example: `  tracegrad reroll --dataset data --url http://127.0.0.1:8000/v1 --model base --out rollouts
  tracegrad reroll --config train.yaml --holdout --n 4 --url http://127.0.0.1:8000/v1 --model base-3f2a --out rollouts
  tracegrad sql --dataset rollouts 'SELECT name, avg(value) FROM rewards GROUP BY name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "`file` such as train.yaml that says what is asked")
	flags.StringVar(&f.dataset, "dataset", "", "`directory` of the dataset with the logged prompts")
	flags.StringVar(&f.rewards, "rewards", "", "rewards `file` to score the rollouts with")
	flags.StringVar(&f.url, "url", "", "`url` of the server (required)")
	flags.StringVar(&f.model, "model", "", "`name` of the model, as the server knows it (required)")
	flags.StringVar(&f.out, "out", "", "`directory` of the dataset to write (required)")
	flags.StringSliceVar(&f.agents, "agent", nil, "only trajectories that this `agent` or service took part in; may be repeated")
	flags.StringVar(&f.where, "where", "", "only trajectories for which this `SQL` is true")
	flags.BoolVar(&f.holdout, "holdout", false, "only held-out tasks: the gate's of --config, or a fifth of the task keys")
	flags.IntVar(&f.most, "prompts", 0, "most prompts to ask; 0 = all")
	flags.IntVar(&f.rollouts, "n", 1, "rollouts per prompt")
	flags.IntVar(&f.concurrency, "concurrency", 8, "requests at a time")
	flags.Uint64Var(&f.seed, "seed", 1, "of the seeds that are sent")
	flags.BoolVar(&f.noSeed, "no-seed", false, "send no seeds")
	flags.StringSliceVar(&f.taskFacts, "task-facts", nil, "`names` of facts that are about the task, not about the attempt: rollouts get those of the logged attempts")
	flags.Float64Var(&f.temperature, "temperature", 0, "instead of the logged one")
	flags.Float64Var(&f.topP, "top-p", 0, "instead of the logged one")
	flags.Int64Var(&f.topK, "top-k", 0, "instead of the logged one")
	flags.Int64Var(&f.maxTokens, "max-tokens", 0, "most tokens of a reply, instead of the logged number")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be asked, and ask nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	return cmd
}

// sampling is what the user's flags replace.
func (f *rerollFlags) sampling(cmd *cobra.Command) (s reroll.Sampling) {
	set := cmd.Flags().Changed
	if set("temperature") {
		s.Temperature = &f.temperature
	}
	if set("top-p") {
		s.TopP = &f.topP
	}
	if set("top-k") {
		s.TopK = &f.topK
	}
	if set("max-tokens") {
		s.MaxTokens = &f.maxTokens
	}
	return s
}

func (f *rerollFlags) check() error {
	switch {
	case !f.dryRun && (f.url == "" || f.model == "" || f.out == ""):
		return usageError{errors.New("--url, --model or --out is missing: say who is asked, and where the rollouts go")}
	case f.dataset == "" && f.config == "":
		return usageError{errors.New("name the dataset with --dataset, or a configuration that does with --config")}
	case f.rollouts < 1 || f.concurrency < 1 || f.most < 0:
		return usageError{errors.New("--n and --concurrency are at least 1, --prompts is at least 0")}
	case f.temperature < 0 || f.topP < 0 || f.topP > 1 || f.maxTokens < 0:
		return usageError{errors.New("--temperature, --top-p and --max-tokens are out of range")}
	}
	return nil
}

// plan reads what is asked: flags go before the configuration.
func (f *rerollFlags) plan() (dataset string, o trainer.LoggedOptions, err error) {
	c := trainer.Default()
	if f.config != "" {
		if c, err = trainer.Load(f.config); err != nil {
			return "", o, err
		}
	}
	o = trainer.LoggedOptions{Where: c.Where, Agents: c.Agents}
	if f.where != "" {
		o.Where = f.where
	}
	if len(f.agents) > 0 {
		o.Agents = f.agents
	}
	if f.holdout {
		o.Holdout, o.HoldoutBy = c.Gate.Holdout, c.Gate.HoldoutBy
	}
	o.TaskFacts = f.taskFacts
	if f.rewards == "" {
		f.rewards = c.Rewards.File
	}
	dataset = c.Dataset
	if f.dataset != "" {
		dataset = f.dataset
	}
	return dataset, o, nil
}

// rerolled is what reroll prints as JSON.
type rerolled struct {
	Out     string         `json:"out,omitempty"`
	Model   string         `json:"model,omitempty"`
	DryRun  bool           `json:"dry_run,omitempty"`
	Live    int            `json:"live"`     // trajectories in the dataset
	Chosen  int            `json:"chosen"`   // of them, those whose prompts are asked
	LeftOut map[string]int `json:"left_out"` // the others, by reason
	reroll.Tally
}

func (f *rerollFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	dataset, which, err := f.plan()
	if err != nil {
		return err
	}
	client, err := reroll.NewClient(f.url)
	if err != nil && !f.dryRun {
		return usageError{fmt.Errorf("--url: %w", err)}
	}
	o := reroll.Options{
		Policy:   reroll.Policy{Model: f.model, Seed: f.seed, NoSeed: f.noSeed, Sampling: f.sampling(cmd)},
		Rollouts: f.rollouts, Concurrency: f.concurrency,
	}
	if f.rewards != "" {
		if o.Rewards, err = rewards.Load(f.rewards); err != nil {
			return err
		}
	}
	ctx := cmd.Context()
	logged, err := trainer.LoggedPrompts(ctx, dataset, which)
	if err != nil {
		return namingDataset(err, "name the one with the logged prompts with --dataset DIRECTORY")
	}
	if len(logged.Prompts) == 0 {
		return logged.Nothing()
	}
	prompts := logged.Prompts
	if f.most > 0 {
		prompts = prompts[:min(f.most, len(prompts))]
	}
	result := rerolled{Out: f.out, Model: f.model, DryRun: f.dryRun, Live: logged.Live, Chosen: logged.Chosen, LeftOut: logged.LeftOut}
	if f.dryRun {
		result.Tally = reroll.Tally{Prompts: len(prompts), Wanted: len(prompts) * f.rollouts, Ended: map[string]int{}, Refused: map[string]int{}}
		return f.print(cmd.OutOrStdout(), result)
	}
	if result.Tally, err = f.ask(ctx, cmd.ErrOrStderr(), client, prompts, o); err != nil {
		return err
	}
	return f.print(cmd.OutOrStdout(), result)
}

// ask makes sure that somebody is there before it begins.
func (f *rerollFlags) ask(ctx context.Context, errOut io.Writer, client *reroll.Client, prompts []*reroll.Prompt, o reroll.Options) (reroll.Tally, error) {
	client.Key = os.Getenv(trainer.ServerKeyVariable)
	if _, err := client.Models(ctx); err != nil {
		return reroll.Tally{}, fmt.Errorf("%w: start the server, or name another with --url", err)
	}
	show := &rerollProgress{out: errOut, live: isTerminal(errOut)}
	o.Progress = show.step
	tally, err := reroll.Run(ctx, client, prompts, f.out, o)
	show.close()
	switch {
	case ctx.Err() != nil:
		return tally, fmt.Errorf("interrupted with %d of %d rollouts in %s; the same command goes on", tally.Reused+tally.Made, tally.Wanted, f.out)
	case err != nil:
		return tally, fmt.Errorf("%w; %d of %d rollouts are in %s, the same command goes on", err, tally.Reused+tally.Made, tally.Wanted, f.out)
	case tally.Reused+tally.Made == 0:
		for message := range tally.Refused {
			return tally, fmt.Errorf("the server refused every prompt: %s", message)
		}
	}
	return tally, nil
}

func (f *rerollFlags) print(out io.Writer, r rerolled) error {
	if f.asJSON {
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "%s of %s, which %s began with\n", count(r.Wanted, "rollout"), count(r.Prompts, "prompt"), plural(r.Chosen, "trajectory", "trajectories"))
	if err := printReasons(out, fmt.Sprintf("left out of %s:", plural(r.Live, "trajectory", "trajectories")), r.LeftOut); err != nil {
		return err
	}
	if r.DryRun {
		_, err := fmt.Fprintln(out, "dry run: nothing was asked")
		return err
	}
	if err := printReasons(out, "rollouts that ended early:", r.Ended); err != nil {
		return err
	}
	if err := printReasons(out, "rollouts that the server refused:", r.Refused); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "made %d, %d were there already\n%d tokens generated\ndataset %s\n", r.Made, r.Reused, r.Tokens, r.Out)
	return err
}

// rerollProgress is a line that moves, or on no terminal one now and then.
type rerollProgress struct {
	out  io.Writer
	live bool
	line int
	said time.Time
}

func (p *rerollProgress) step(now reroll.Progress) {
	text := fmt.Sprintf("reroll %s %d of %d", meter(now.Done, now.Total), now.Done, now.Total)
	if now.Left > 0 {
		text += ", " + about(now.Left) + " left"
	}
	if p.live {
		fmt.Fprintf(p.out, "\r%-*s", p.line, text)
		p.line = len(text)
		return
	}
	if t := time.Now(); t.Sub(p.said) >= 10*time.Second || now.Done == now.Total {
		p.said = t
		fmt.Fprintln(p.out, text)
	}
}

func (p *rerollProgress) close() {
	if p.line > 0 {
		fmt.Fprintln(p.out)
	}
}
