# Everything Trireme links. All of it is packaged in Debian and Ubuntu (cluster/install-deps); nothing is downloaded here.

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(MPI REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)

# The serial HDF5 build is thread-safe; the MPI build is not.
find_package(HDF5 REQUIRED COMPONENTS C)
if(HDF5_IS_PARALLEL)
  message(FATAL_ERROR "HDF5 was found in its MPI build (${HDF5_INCLUDE_DIRS}); Trireme needs the serial one: "
                      "install libhdf5-dev or set HDF5_PREFER_PARALLEL=OFF")
endif()

pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)

# Debian's package configuration of oneDNN asks for OpenCL headers that it does not need.
find_path(DNNL_INCLUDE_DIR dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(trireme_dnnl INTERFACE)
target_include_directories(trireme_dnnl INTERFACE ${DNNL_INCLUDE_DIR})
target_link_libraries(trireme_dnnl INTERFACE ${DNNL_LIBRARY})

# yaml-cpp 0.7 exports `yaml-cpp`, 0.8 `yaml-cpp::yaml-cpp`.
if(TARGET yaml-cpp::yaml-cpp)
  set(TRIREME_YAML yaml-cpp::yaml-cpp)
else()
  set(TRIREME_YAML yaml-cpp)
endif()
