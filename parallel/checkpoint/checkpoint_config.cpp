#include "parallel/checkpoint/checkpoint_config.h"

namespace trireme {

void CheckpointConfig::fields(FieldVisitor& visitor) {
  visitor.visit({.name = "save_interval",
                 .help = "Steps between checkpoints; 0 saves at the end only.",
                 .unit = "steps",
                 .minimum = 0},
                save_interval);
  visitor.visit({.name = "save_last", .help = "Save after the last step."}, save_last);
  visitor.visit(
      {.name = "keep_last",
       .help = "Committed checkpoints kept; older ones are removed after a newer one is committed. 0 "
               "keeps all.",
       .minimum = 0},
      keep_last);
  visitor.visit({.name = "allow_data_change",
                 .help = "Allow a run to be restored with another data set, blend or seed."},
                allow_data_change);
  visitor.visit(
      {"restore_buffer_bytes",
       "Memory that a rank may take to read a checkpoint, beside what it reads into; each 64 MiB is a "
       "thread that reads, up to 4.",
       "bytes", 1 << 24, 1e15},
      restore_buffer_bytes);
}

}  // namespace trireme
