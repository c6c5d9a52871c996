#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/tensor/context.h"

namespace trireme {

class Function;

/// Which output of which Function a Variable is.
struct Edge {
  std::shared_ptr<Function> function;
  int output = 0;
};

/// Makes a value again, bit by bit, from tensors that its producer keeps for its own backward anyway (none
/// may be overwritten before). Cheap to call: one pass over the elements.
using Recipe = std::function<Tensor(Context&)>;

/// A value and its place in the graph. The graph hangs from its outputs: there is no tape, so dropping the
/// last Variable of a graph frees it. Copying shares both.
class Variable {
 public:
  Variable() = default;
  /// A constant: no gradient flows to it.
  explicit Variable(Tensor value) : value_(std::move(value)) {}
  /// A leaf that collects its gradient: the input of a pipeline stage, of a recomputed part, of a gradient
  /// check.
  static Variable leaf(Context& context, Tensor value);

  const Tensor& value() const { return value_; }
  /// Gives the value away; the place in the graph stays, so it can still be a root of backward.
  Tensor take_value() { return std::exchange(value_, Tensor()); }
  bool defined() const { return value_.defined(); }
  bool requires_grad() const { return edge_.function != nullptr; }
  /// Of a leaf, after backward; undefined when none arrived.
  Tensor gradient() const;
  /// Undefined (false) where the value has to be kept.
  const Recipe& recipe() const { return recipe_; }
  void set_recipe(Recipe recipe) { recipe_ = std::move(recipe); }

 private:
  friend class Function;
  friend void backward(Context&, std::vector<std::pair<Variable, Tensor>>);
  Tensor value_;
  Edge edge_;
  Recipe recipe_;
};

/// What a Function keeps of an input whose value its backward needs: the recipe where there is one, else the
/// tensor.
class SavedValue {
 public:
  explicit SavedValue(const Variable& x)
      : shape_(x.value().shape()), tensor_(x.recipe() ? Tensor() : x.value()), recipe_(x.recipe()) {}
  const Shape& shape() const { return shape_; }
  Tensor get(Context& context) const { return recipe_ ? recipe_(context) : tensor_; }

 private:
  Shape shape_;
  Tensor tensor_;
  Recipe recipe_;
};

/// Functions recorded in this scope give their cheap outputs a recipe: selective recomputation.
class RecipeGuard {
 public:
  RecipeGuard(Context& context, bool enabled) : context_(context), previous_(context.keep_recipes) {
    context_.keep_recipes = enabled;
  }
  ~RecipeGuard() { context_.keep_recipes = previous_; }
  RecipeGuard(const RecipeGuard&) = delete;
  RecipeGuard& operator=(const RecipeGuard&) = delete;

 private:
  Context& context_;
  bool previous_;
};

/// One differentiable operation in the graph: a subclass keeps what its backward needs. Parameters are not
/// inputs: a Function keeps the Parameter's handle (never its tensor) and adds to its gradient through
/// `context.weight_gradients`.
class Function {
 public:
  virtual ~Function();
  virtual const char* name() const = 0;
  /// Takes the gradients of the outputs (undefined: zero), returns those of the inputs, in the order given to
  /// `record` (undefined where none flows). Called at most once; frees what it saved.
  virtual std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) = 0;

  /// Whether a Function over these inputs has to be recorded.
  static bool needed(const Context& context, const std::vector<Variable>& inputs, bool has_parameters);
  /// Makes `function` the producer of `outputs`.
  static std::vector<Variable> record(Context& context, std::shared_ptr<Function> function,
                                      const std::vector<Variable>& inputs, std::vector<Tensor> outputs);

 private:
  friend void backward(Context&, std::vector<std::pair<Variable, Tensor>>);
  std::vector<Edge> inputs_;
  int num_outputs_ = 0;
  uint64_t sequence_ = 0;
};

/// Propagates from several roots, each with its gradient, to the leaves and parameters. Nodes run in the
/// reverse order of their making; each is freed once it has run; `context.progress` is called between nodes.
/// Roots that are moved in may be overwritten.
void backward(Context& context, std::vector<std::pair<Variable, Tensor>> roots);

}  // namespace trireme
