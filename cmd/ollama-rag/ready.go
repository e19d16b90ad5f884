package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/store"
)

// readyWait is how long the server has to answer.
const readyWait = 5 * time.Second

func readyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "Ask whether the server of the data folder can serve: for health checks",
		Long: `Asks the server that has the data folder whether it can serve, and exits 1 if it cannot or none runs. Made for the
health checks of containers, whose image holds no other program. Model servers do not count: without them passages are quoted.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := settings(cmd)
			if err != nil {
				return err
			}
			server := store.Announced(c.DataDir)
			if server.URL == "" {
				return fmt.Errorf("no server runs on %s: start one with `ollama-rag serve`", c.DataDir)
			}
			a := api{base: server.URL, token: server.Token, client: &http.Client{Timeout: readyWait}}
			resp, err := a.do(cmd.Context(), http.MethodGet, "/health/ready", nil)
			if err != nil {
				return fmt.Errorf("the server at %s is not ready: %w", server.URL, err)
			}
			if err := resp.Body.Close(); err != nil {
				return err
			}
			if wantJSON(cmd) {
				return printJSON(map[string]any{"ready": true, "url": server.URL})
			}
			fmt.Println("ready at", server.URL)
			return nil
		},
	}
}
