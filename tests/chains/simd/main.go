// Command simd is the chain that the end-to-end tests run against: the simulation app of ibc-go v10
// with the 08-wasm light client module, unchanged. Only its root command is ours, because the app
// lies in a module without a binary of its own that could be installed by version.
package main

import (
	"os"

	"cosmossdk.io/log"

	servercmd "github.com/cosmos/cosmos-sdk/server/cmd"

	"github.com/cosmos/ibc-go/modules/light-clients/08-wasm/v10/testing/simapp"
	"github.com/cosmos/ibc-go/modules/light-clients/08-wasm/v10/testing/simapp/simd/cmd"
)

func main() {
	root := cmd.NewRootCmd()
	if err := servercmd.Execute(root, "", simapp.DefaultNodeHome); err != nil {
		log.NewLogger(root.OutOrStderr()).Error("simd stopped", "err", err)
		os.Exit(1)
	}
}
