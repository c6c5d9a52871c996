#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/tensor/context.h"

namespace trireme {

/// How a parameter's first value is drawn, from its logical name and global coordinates: the same in every
/// layout.
struct InitRule {
  enum class Kind {
    kZeros,
    kOnes,
    kNormal,
    kTruncatedNormal,  ///< what is beyond two standard deviations is drawn again (BERT)
    kXavierUniform,    ///< in +-gain * sqrt(6 / (rows + columns)) of the logical tensor (Glorot and Bengio
                       ///< 2010)
    kFrequencies       ///< 10000^(-column / columns) in every row: those of sinusoidal positions
  } kind = Kind::kZeros;
  double scale = 0;  ///< standard deviation of the normal ones (before truncation), gain of Xavier's
};

/// A mesh axis; opaque in core.
using AxisId = int;

/// How a logical tensor lies on one mesh axis: each rank holds a part; or all hold the whole and compute
/// equal gradients; or all hold the whole and each computes a part of the gradient's sum.
struct Placement {
  enum class Kind { kSplit, kReplicatedEqual, kReplicatedPartial } kind = Kind::kReplicatedEqual;
  int dim = 0;     ///< of kSplit
  int copies = 1;  ///< of kSplit: this many neighbouring ranks hold the same part, each a part of its
                   ///< gradient's sum (key heads that are fewer than ranks)
  std::vector<int> holders = {};  ///< of the others: the coordinates of those that hold it; empty: all

  bool partial_gradient() const { return kind == Kind::kReplicatedPartial || copies > 1; }
};

/// One logical tensor inside a parameter's storage. Packed storage (query, key and value in one matrix) has
/// several; names, checkpoints, initial values and norms know the pieces only.
struct ParameterPiece {
  std::string name;    ///< of one rank's model, whatever the layout
  Shape global_shape;  ///< unsplit, unpadded
  Shape offset;        ///< the box of the global tensor that this rank holds
  Shape extent;
  int64_t storage_row = 0;  ///< first row (dimension 0) of the box in the storage
  /// By axis. An axis without an entry does not repeat the piece: this rank alone of the axis holds it. The
  /// data axis never has an entry: its ranks are replicas of one another.
  std::map<AxisId, Placement> placement = {};

  bool partial_gradient() const;  ///< this rank's gradient must be summed with those of another axis' ranks
};

/// A trained tensor. Owned by its Module; Functions keep a pointer and never its tensors, which may be freed
/// and gathered again. Not thread-safe.
class Parameter {
 public:
  std::string name;                    ///< of the storage; equals pieces[0].name where there is one piece
  Shape shape;                         ///< of the storage on this rank
  std::vector<ParameterPiece> pieces;  ///< in storage order
  InitRule init;
  bool weight_decay = true;  ///< false for norms and biases

  Tensor value;     ///< compute type
  Tensor master;    ///< float32 (float64) weights the optimizer updates; shares storage with value when types
                    ///< agree; undefined where this rank keeps a part of them only (ParameterStore)
  Tensor gradient;  ///< float32 (float64), a view into a flat bucket
  uint64_t version = 0;  ///< of value; keys packed or cast copies

  bool has_partial_gradient() const;  ///< of any piece

  /// The view of `tensor` (value, master, gradient or an optimizer state of this shape) that holds a piece.
  Tensor piece(const Tensor& tensor, size_t index) const;

  // Gradient accumulation: the first contribution after begin_accumulation() writes, later ones add. A
  // Function that will contribute calls expect() when it is recorded; when all that was expected has arrived,
  // `on_ready` is called (it may be called again if another use follows).

  /// Called between passes; forgets what a pass that was given up had announced.
  void begin_accumulation() {
    has_gradient_ = false;
    expected_ = 0;
  }
  bool has_gradient() const { return has_gradient_; }
  bool expects_more() const { return expected_ > 0; }
  void expect() { ++expected_; }
  /// `add` gets the gradient and whether to add to what it holds.
  void contribute(const std::function<void(Tensor& gradient, bool accumulate)>& add);
  /// Takes back an expect() without a contribution (the hold of a recomputed part).
  void release();
  std::function<void(Parameter&)> on_ready;

 private:
  bool has_gradient_ = false;
  int64_t expected_ = 0;
};

/// Draws the first values of a box of a piece, which starts at `offset` of the global tensor and has the
/// shape of `target`. The number at global element i of a piece depends on (seed, piece name, i) alone; in a
/// narrow type it is the rounded float32 one.
void draw_initial(Context& context, const Parameter& parameter, size_t piece, const Shape& offset,
                  Tensor target, uint64_t seed);
/// Draws parameter.master, where it is defined, and parameter.value.
void initialize(Context& context, Parameter& parameter, uint64_t seed);

/// The site number of a logical name in random keys (FNV-1a, 64 bits).
uint64_t site_of(const std::string& name);

}  // namespace trireme
