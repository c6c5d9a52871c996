#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "core/base/error.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/usage.h"
#include "launcher/commands/version.h"
#include "launcher/train/failure.h"

namespace {

using trireme::ExitCode;

int report(const std::string& message, ExitCode code) {
  // Started by mpirun, every rank fails here in the same way: one of them says so.
  if (trireme::launched_rank() == 0) trireme::print_error(message);
  return static_cast<int>(code);
}

/// A file opened where a standard stream is closed would take what is printed.
void open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) open("/dev/null", O_RDWR);
}

/// What was asked for and could not be printed is an error; a training has its files.
ExitCode check_output(const CLI::App& app, ExitCode code) {
  const bool printed = std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout.flush();
  if (!printed && code == ExitCode::kOk && !app.got_subcommand("train"))
    throw trireme::IoError("standard output: writing failed; is there space left?");
  return code;
}

constexpr const char* kFooter = R"(Examples:
  trireme prepare --input book.txt --output data/book   make tokens from text
  trireme config check run.yaml --ranks 2               find every mistake before starting
  mpirun -n 2 trireme train run.yaml --set lr=1e-3      train on two ranks
  trireme generate runs/run --prompt "Once upon"        sample from the newest checkpoint

`trireme COMMAND --help` tells more; `man trireme` has the exit codes.)";

}  // namespace

int main(int argc, char** argv) {
  open_closed_streams();
  CLI::App app("Trireme trains Transformers, on one rank or on many.", "trireme");
  app.require_subcommand(1);
  app.footer(kFooter);
  app.set_version_flag("--version", [] { return trireme::version_text(); });
  app.failure_message([](const CLI::App*, const CLI::Error& error) { return std::string(error.what()); });

  trireme::CommandAction action;
  trireme::add_prepare(app, action);
  trireme::add_tokenize(app, action);
  trireme::add_train(app, action);
  trireme::add_evaluate(app, action);
  trireme::add_bleu(app, action);
  trireme::add_generate(app, action);
  trireme::add_config(app, action);
  trireme::add_verify(app, action);
  trireme::add_checkpoint(app, action);
  trireme::add_doctor(app, action);
  try {
    app.parse(argc, argv);
    return static_cast<int>(check_output(app, action()));
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    return report(trireme::usage_message(app, argc, argv, error), ExitCode::kUsage);
  } catch (const trireme::Error& error) {
    return report(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return report("out of memory; take a smaller micro_batch_size, or recompute_granularity: full",
                  ExitCode::kDevice);
  } catch (const std::exception& error) {
    return report(std::string("internal error: ") + error.what() + "; please report it", ExitCode::kInternal);
  }
}
