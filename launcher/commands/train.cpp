// `trireme train RUN.YAML`
#include <CLI/CLI.hpp>
#include <memory>

#include "launcher/commands/commands.h"
#include "launcher/commands/run_file.h"
#include "launcher/commands/world.h"
#include "launcher/train/signals.h"
#include "launcher/train/trainer.h"

namespace trireme {

void add_train(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("train", "Train a model, or go on training it");
  command.footer(
      "Writes metrics.jsonl, config.yaml, checkpoints/ and tensorboard/ into training.output_dir, and goes "
      "on from\n"
      "its newest checkpoint. SIGUSR1 or SIGTERM: save after the step and exit with code 75.\n\n"
      "  trireme train run.yaml\n"
      "  mpirun -n 4 trireme train run.yaml --set training.train_iters=500 --set lr=1e-3");
  const auto file = std::make_shared<RunFile>();
  file->add_to(command);
  command.callback([&action, file] {
    action = [file] {
      const SignalWatch signals;  // before MPI starts, which takes a while
      return run_in_world([&](Communicator& world) {
        Trainer trainer(file->load(), world, [&signals] { return signals.requested(); });
        return trainer.run();
      });
    };
  });
}

}  // namespace trireme
