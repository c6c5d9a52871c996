#include "core/optim/parameter_layout.h"

#include <gtest/gtest.h>

#include "core/nn/parameters.h"

namespace trireme {
namespace {

PrecisionConfig precision_of(Precision dtype) {
  PrecisionConfig precision;
  precision.dtype = dtype;
  return precision;
}

TEST(ParameterLayout, PutsPartialGradientsLastAndKeepsTheReverseOfTheForwardPass) {
  std::vector<Parameter> owned;
  for (const char* name : {"a", "b", "c", "d", "e"})
    owned.push_back(nn::whole_parameter(name, {16}, nn::zeros(), true));
  owned[1].pieces[0].placement[0] = {Placement::Kind::kReplicatedPartial};
  owned[2].pieces[0].placement[0] = {Placement::Kind::kReplicatedEqual};
  owned[3].pieces[0].placement[0] = {Placement::Kind::kSplit, 0, 2};
  owned[4].pieces[0].placement[0] = {Placement::Kind::kSplit, 0, 1};
  std::vector<Parameter*> forward;
  for (Parameter& parameter : owned) forward.push_back(&parameter);
  const ParameterLayout layout(forward, {});
  std::string order;
  for (const Parameter* parameter : layout.parameters()) order += parameter->name;
  EXPECT_EQ(order, "ecadb");
  EXPECT_EQ(layout.num_whole(), 3u);
}

TEST(ParameterLayout, PlacesPiecesInsidePaddedStorage) {
  Parameter first = nn::whole_parameter("first", {3}, nn::zeros(), false);
  Parameter packed =
      nn::packed_parameter("qkv", {{"q", {2, 256}}, {"k", {0, 256}}, {"v", {3, 256}}}, nn::zeros(), true);
  Parameter bias = nn::packed_parameter("bias", {{"q", {4}}, {"k", {2}}}, nn::zeros(), false);
  const ParameterLayout layout({&bias, &packed, &first}, precision_of(Precision::kFp32));
  EXPECT_EQ(layout.row_stride(1), 272);
  EXPECT_EQ(layout.range(0), (FlatRange{0, 16}));
  EXPECT_EQ(layout.range(1), (FlatRange{16, 16 + 5 * 272}));
  EXPECT_EQ(layout.piece_range(1, 0), (FlatRange{16, 16 + 272 + 256}));
  EXPECT_EQ(layout.piece_range(1, 1).length(), 0);
  EXPECT_EQ(layout.piece_range(1, 2), (FlatRange{16 + 2 * 272, 16 + 4 * 272 + 256}));
  EXPECT_EQ(layout.piece_range(2, 1), (FlatRange{layout.offset(2) + 4, layout.offset(2) + 6}));
  EXPECT_EQ(layout.num_elements(), layout.offset(2) + 16);
}

TEST(ParameterLayout, RangesShareWhatBothHoldAndNeighboursBecomeOne) {
  EXPECT_EQ(intersection({2, 8}, {5, 9}), (FlatRange{5, 8}));
  EXPECT_EQ(intersection({2, 4}, {4, 9}).length(), 0);
  EXPECT_EQ(intersection({6, 9}, {1, 2}).length(), 0);
  std::vector<FlatRange> ranges;
  for (const FlatRange& range : {FlatRange{0, 4}, FlatRange{4, 4}, FlatRange{4, 7}, FlatRange{9, 10}})
    append_range(ranges, range);
  EXPECT_EQ(ranges, (std::vector<FlatRange>{{0, 7}, {9, 10}}));
}

}  // namespace
}  // namespace trireme
