#include "parallel/checkpoint/checkpoint_config.h"

namespace trireme {
namespace {

using SaveErrorName = std::pair<const char*, OnSaveError>;

constexpr SaveErrorName kOnSaveError[] = {{"continue", OnSaveError::kContinue}, {"stop", OnSaveError::kStop}};

}  // namespace

void CheckpointConfig::fields(FieldVisitor& visitor) {
  visitor.visit({.name = "save_interval",
                 .help = "Steps between checkpoints; 0 saves at the end only.",
                 .unit = "steps",
                 .minimum = 0},
                save_interval);
  visitor.visit({.name = "save_last", .help = "Save after the last step."}, save_last);
  visitor.visit({.name = "async",
                 .help = "Write checkpoints in the background, from a copy in memory; false needs no memory "
                         "for the copy, and training waits for every save. A save that is due while one is "
                         "under way is skipped."},
                async);
  visitor.visit_choice(
      {.name = "on_save_error", .help = "What to do when the disk refuses a save that is not the last one."},
      on_save_error, std::span<const SaveErrorName>(kOnSaveError));
  visitor.visit({.name = "max_failed_saves",
                 .help = "Failed saves in a row that a run goes on without; one more ends it.",
                 .minimum = 0},
                max_failed_saves);
  visitor.visit({.name = "save_timeout_seconds",
                 .help = "A save that takes longer ends the run, naming the ranks that are late.",
                 .unit = "s",
                 .minimum = 1},
                save_timeout_seconds);
  visitor.visit(
      {.name = "keep_last",
       .help = "Committed checkpoints kept; older ones are removed after a newer one is committed. 0 "
               "keeps all.",
       .minimum = 0},
      keep_last);
  visitor.visit({.name = "keep_every",
                 .help = "Besides, checkpoints of steps that are multiples of this are kept; 0: none.",
                 .unit = "steps",
                 .minimum = 0},
                keep_every);
  visitor.visit({.name = "keep_best",
                 .help = "Besides, so many checkpoints are kept whose validation loss, as known when they "
                         "were saved, is the lowest.",
                 .minimum = 0},
                keep_best);
  visitor.visit({.name = "allow_data_change",
                 .help = "Allow a run to be restored with another data set, blend or seed."},
                allow_data_change);
  visitor.visit(
      {"restore_buffer_bytes",
       "Memory that a rank may take to read a checkpoint, beside what it reads into; each 8 MiB is a "
       "thread that reads, up to 2.",
       "bytes", 1 << 24, 1e15},
      restore_buffer_bytes);
}

}  // namespace trireme
