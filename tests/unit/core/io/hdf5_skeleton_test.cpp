#include "core/io/hdf5_skeleton.h"

#include <gtest/gtest.h>

#include <span>
#include <thread>

#include "core/base/error.h"
#include "core/io/file.h"
#include "tests/support/run_program.h"

namespace trireme::io {
namespace {

void write_skeleton(const std::string& path, const Hdf5Skeleton& skeleton) {
  File file = File::create(path);
  file.reserve(skeleton.size);
  for (const auto& extent : skeleton.metadata) file.write_at(extent.offset, extent.bytes);
}

TEST(Hdf5Skeleton, LaysOutTerabytesWithoutTouchingThem) {
  std::vector<Hdf5Dataset> datasets;
  for (int i = 0; i < 100; ++i)
    datasets.push_back({"/model/h." + std::to_string(i) + "/box", {1000000, 1000}, DType::kFloat32, {}, {}});
  const Hdf5Skeleton skeleton = make_hdf5_skeleton(datasets, {});
  ASSERT_EQ(skeleton.data_offsets.size(), 100u);
  int64_t metadata = 0, end = 0;
  for (const auto& extent : skeleton.metadata) metadata += static_cast<int64_t>(extent.bytes.size());
  for (const int64_t offset : skeleton.data_offsets) {
    EXPECT_EQ(offset % 4096, 0);
    EXPECT_GE(offset, end);
    end = offset + int64_t{4000000000};
  }
  EXPECT_GE(skeleton.size, end);
  EXPECT_LT(metadata, 4 << 20);
}

TEST(Hdf5Skeleton, IsTheSameEveryTimeAndFromManyThreads) {
  const auto make = [] {
    return make_hdf5_skeleton({{"/a/b.c/d", {3, 4}, DType::kBFloat16, {{"text", std::string("x")}}, {}}},
                              {{"numbers", std::vector<int64_t>{1, 2}}});
  };
  const Hdf5Skeleton first = make();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const Hdf5Skeleton other = make();
      EXPECT_EQ(other.size, first.size);
      ASSERT_EQ(other.metadata.size(), first.metadata.size());
      for (size_t j = 0; j < other.metadata.size(); ++j)
        EXPECT_EQ(other.metadata[j].bytes, first.metadata[j].bytes);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(Hdf5Skeleton, RefusesWhatHdf5Refuses) {
  EXPECT_THROW(
      make_hdf5_skeleton({{"/a", {1}, DType::kFloat32, {}, {}}, {"/a", {1}, DType::kFloat32, {}, {}}}, {}),
      IoError);
}

TEST(Hdf5Skeleton, IsReadByH5pyWithDataWrittenBesideTheLibrary) {
  if (testing::run_program({"/usr/bin/python3", "-c", "import h5py"}).exit_code != 0)
    GTEST_SKIP() << "python3-h5py is not installed";
  const testing::TemporaryFolder folder;
  const Hdf5Skeleton data = make_hdf5_skeleton({{"/m/a.b/x", {2, 3}, DType::kBFloat16, {}, {}}}, {});
  write_skeleton(folder.path() / "data.h5", data);
  const Hdf5Skeleton index = make_hdf5_skeleton(
      {{"/m/a.b", {4, 3}, DType::kBFloat16, {}, {{"data.h5", "/m/a.b/x", {2, 0}, {2, 3}}}}},
      {{"long", std::string(200000, 'y')}});
  write_skeleton(folder.path() / "index.h5", index);
  const auto result = testing::run_program({"/usr/bin/python3", "-c",
                                            "import h5py, math\n"
                                            "f = h5py.File('index.h5', 'r')\n"
                                            "d = f['m/a.b']\n"
                                            "assert len(f.attrs['long']) == 200000\n"
                                            "assert math.isnan(d[0, 0]) and d[3, 2] == 0.0, d[:]\n"
                                            "print(d.dtype, d.shape)"},
                                           folder.path());
  EXPECT_EQ(result.out, "float32 (4, 3)\n") << result.error;
}

}  // namespace
}  // namespace trireme::io
