#include "launcher/commands/version.h"

#include <H5public.h>
#include <fmt/format.h>

#include "core/ops/cpu/cpu_info.h"
#include "launcher/build_info.h"
#include "parallel/comm/mpi_runtime.h"

namespace trireme {
namespace {

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace

std::string mpi_version() {
  const std::string text = comm::MpiRuntime::library_version();
  return text.substr(0, text.find(','));
}

std::string version_text() {
  return fmt::format(
      "trireme {} (commit {})\ncompiler: {}\n"
      "libraries: oneDNN {}, HDF5 {}, {}, yaml-cpp {}, Highway {}\ninstruction set: {}",
      kVersion, kCommit, kCompiler, ops::cpu::dnnl_version(), hdf5_version(), mpi_version(), kYamlCppVersion,
      kHighwayVersion, name_of(ops::cpu::supported_instruction_set()));
}

}  // namespace trireme
