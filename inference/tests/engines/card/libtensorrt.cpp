// NVIDIA's library, for tests: its own interface, by its own headers, with an engine that computes plainly what a network
// says, on the card that is none. It knows the layers that Starling uses and ends the process at any other call. Where
// the headers demand something of whoever calls, it looks whether that is so.

#include "NvInfer.h"
#include "stubs.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace nvinfer1;

extern "C"
{
bool card_push(void* stream, std::function<void()>* work);
void* card_at(uint64_t address, size_t bytes);
int64_t card_setting(char const* name, int64_t otherwise);
}

namespace
{

ILogger* gLog = nullptr;

// Refuses as the library does: with a word to the log.
bool refuse(std::string const& why)
{
    if (gLog != nullptr)
    {
        gLog->log(ILogger::Severity::kERROR, why.c_str());
    }
    return false;
}

using Lengths = std::vector<int64_t>;

int64_t product(Lengths const& lengths)
{
    int64_t all = 1;
    for (auto length : lengths)
    {
        all *= length;
    }
    return all;
}

Lengths lengthsOf(Dims const& dims)
{
    return Lengths(dims.d, dims.d + dims.nbDims);
}

Dims dimsOf(Lengths const& lengths)
{
    Dims dims{};
    dims.nbDims = static_cast<int32_t>(lengths.size());
    std::copy(lengths.begin(), lengths.end(), dims.d);
    return dims;
}

// Numbers.

float fromHalf(uint16_t bits)
{
    _Float16 half;
    std::memcpy(&half, &bits, 2);
    return static_cast<float>(half);
}

uint16_t toHalf(float number)
{
    _Float16 const half = static_cast<_Float16>(number);
    uint16_t bits;
    std::memcpy(&bits, &half, 2);
    return bits;
}

float fromBfloat(uint16_t bits)
{
    uint32_t const wide = static_cast<uint32_t>(bits) << 16;
    float number;
    std::memcpy(&number, &wide, 4);
    return number;
}

uint16_t toBfloat(float number)
{
    uint32_t bits;
    std::memcpy(&bits, &number, 4);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromFp8(uint8_t bits)
{
    int const exponent = bits >> 3 & 15;
    float const fraction = static_cast<float>(bits & 7) / 8.0F;
    float const size = exponent == 0 ? std::ldexp(fraction, -6) : std::ldexp(1.0F + fraction, exponent - 7);
    return (bits & 0x80) != 0 ? -size : size;
}

size_t bytesOf(DataType type, int64_t count)
{
    auto const numbers = static_cast<size_t>(count);
    switch (type)
    {
    case DataType::kINT64: return numbers * 8;
    case DataType::kFLOAT:
    case DataType::kINT32: return numbers * 4;
    case DataType::kHALF:
    case DataType::kBF16: return numbers * 2;
    case DataType::kINT4: return (numbers + 1) / 2;
    default: return numbers;
    }
}

float numberAt(DataType type, void const* bytes, int64_t index)
{
    auto const* at = static_cast<uint8_t const*>(bytes) + (type == DataType::kINT4 ? index / 2 : index * static_cast<int64_t>(bytesOf(type, 1)));
    auto read = [&](auto number) {
        std::memcpy(&number, at, sizeof(number));
        return number;
    };
    switch (type)
    {
    case DataType::kINT64: return static_cast<float>(read(int64_t{}));
    case DataType::kINT32: return static_cast<float>(read(int32_t{}));
    case DataType::kFLOAT: return read(float{});
    case DataType::kHALF: return fromHalf(read(uint16_t{}));
    case DataType::kBF16: return fromBfloat(read(uint16_t{}));
    case DataType::kINT8: return static_cast<float>(read(int8_t{}));
    case DataType::kFP8: return fromFp8(read(uint8_t{}));
    // Two to a byte, the first one below.
    case DataType::kINT4: return static_cast<float>(static_cast<int8_t>(static_cast<uint8_t>(index % 2 == 0 ? *at << 4 : *at)) >> 4);
    default: return static_cast<float>(read(uint8_t{}));
    }
}

void putNumber(DataType type, void* bytes, int64_t index, float number)
{
    auto* at = static_cast<uint8_t*>(bytes) + index * static_cast<int64_t>(bytesOf(type, 1));
    auto write = [&](auto value) { std::memcpy(at, &value, sizeof(value)); };
    switch (type)
    {
    case DataType::kFLOAT: return write(number);
    case DataType::kHALF: return write(toHalf(number));
    case DataType::kBF16: return write(toBfloat(number));
    default: std::abort();
    }
}

// A network.

enum class What : int32_t
{
    kInput, kConstant, kGather, kMatrices, kElements, kRoot, kSigmoid, kMean, kCast, kShuffle, kRotate, kStore, kAttend, kDequantise
};

struct Node
{
    What what{};
    std::vector<int32_t> inputs;
    // Whatever numbers it has: an axis, a flag, an operation.
    std::vector<int64_t> numbers;
    Lengths lengths;
    DataType type{};
    std::string name;
    std::string bytes;
};

struct Range
{
    Lengths least, most;
};

struct Plan
{
    std::vector<Node> nodes;
    std::vector<std::pair<std::string, int32_t>> outputs;
    std::map<std::string, Range> ranges;
    int32_t capability{0};
    int64_t workspace{0};
};

struct Writer
{
    std::string bytes;
    void number(int64_t number) { bytes.append(reinterpret_cast<char const*>(&number), sizeof(number)); }
    void text(std::string const& text)
    {
        number(static_cast<int64_t>(text.size()));
        bytes += text;
    }
    template <typename List>
    void list(List const& list)
    {
        number(static_cast<int64_t>(list.size()));
        for (auto item : list)
        {
            number(item);
        }
    }
};

struct Reader
{
    char const* at;
    char const* end;
    bool good{true};
    int64_t number()
    {
        int64_t number = 0;
        if (end - at < 8)
        {
            good = false;
            return 0;
        }
        std::memcpy(&number, at, 8);
        at += 8;
        return number;
    }
    std::string text()
    {
        int64_t const size = number();
        if (!good || size < 0 || end - at < size)
        {
            good = false;
            return "";
        }
        at += size;
        return std::string(at - size, at);
    }
    template <typename Item>
    std::vector<Item> list()
    {
        std::vector<Item> list;
        int64_t const size = number();
        for (int64_t i = 0; good && i < size; ++i)
        {
            list.push_back(static_cast<Item>(number()));
        }
        return list;
    }
};

constexpr char const* kMagic = "an engine that is none";

std::string write(Plan const& plan)
{
    Writer to;
    to.text(kMagic);
    to.number(plan.capability);
    to.number(plan.workspace);
    to.number(static_cast<int64_t>(plan.nodes.size()));
    for (auto const& node : plan.nodes)
    {
        to.number(static_cast<int64_t>(node.what));
        to.list(node.inputs);
        to.list(node.numbers);
        to.list(node.lengths);
        to.number(static_cast<int64_t>(node.type));
        to.text(node.name);
        to.text(node.bytes);
    }
    to.number(static_cast<int64_t>(plan.outputs.size()));
    for (auto const& [name, node] : plan.outputs)
    {
        to.text(name);
        to.number(node);
    }
    to.number(static_cast<int64_t>(plan.ranges.size()));
    for (auto const& [name, range] : plan.ranges)
    {
        to.text(name);
        to.list(range.least);
        to.list(range.most);
    }
    return to.bytes;
}

bool read(char const* bytes, size_t size, Plan& plan)
{
    Reader from{bytes, bytes + size};
    if (from.text() != kMagic)
    {
        return false;
    }
    plan.capability = static_cast<int32_t>(from.number());
    plan.workspace = from.number();
    for (int64_t left = from.number(); from.good && left > 0; --left)
    {
        Node node;
        node.what = static_cast<What>(from.number());
        node.inputs = from.list<int32_t>();
        node.numbers = from.list<int64_t>();
        node.lengths = from.list<int64_t>();
        node.type = static_cast<DataType>(from.number());
        node.name = from.text();
        node.bytes = from.text();
        plan.nodes.push_back(std::move(node));
    }
    for (int64_t left = from.number(); from.good && left > 0; --left)
    {
        std::string const name = from.text();
        plan.outputs.emplace_back(name, static_cast<int32_t>(from.number()));
    }
    for (int64_t left = from.number(); from.good && left > 0; --left)
    {
        std::string const name = from.text();
        plan.ranges[name] = Range{from.list<int64_t>(), from.list<int64_t>()};
    }
    return from.good && from.at == from.end;
}

// Building.

struct Tensor final : ITensor
{
    struct Impl final : apiv::SVTensor
    {
        std::string name;
        void setName(char const* text) noexcept override { name = text; }
    };
    Impl impl;
    int32_t node;
    explicit Tensor(int32_t node)
        : node(node)
    {
        mImpl = &impl;
    }
};

int32_t nodeOf(ITensor const& tensor)
{
    return static_cast<Tensor const&>(tensor).node;
}

// A layer of any kind; what it is told goes into its node.
struct Told : apiv::SVLayer, apiv::SVGatherLayer, apiv::SVShuffleLayer, apiv::SVDequantizeLayer
{
    Node* node{nullptr};
    ITensor* output{nullptr};
    ITensor* getOutput(int32_t) const noexcept override { return output; }
    void setInput(int32_t index, ITensor& tensor) noexcept override
    {
        node->inputs.resize(std::max<size_t>(node->inputs.size(), static_cast<size_t>(index) + 1));
        node->inputs[static_cast<size_t>(index)] = nodeOf(tensor);
    }
    void setNbElementWiseDims(int32_t same) noexcept override { node->numbers[1] = same; }
    void setFirstTranspose(Permutation const& permutation) noexcept override
    {
        node->numbers.assign(permutation.order, permutation.order + 4);
    }
    void setReshapeDimensions(Dims const& dims) noexcept override { node->lengths = lengthsOf(dims); }
    void setAxis(int32_t axis) noexcept override { node->numbers[0] = axis; }
    void setName(char const*) noexcept override {}
    char const* getName() const noexcept override { return ""; }
};

template <typename Kind>
struct Layer final : Kind
{
    Told told;
    Layer(Node* node, ITensor* output)
    {
        told.node = node;
        told.output = output;
        this->mLayer = &told;
        if constexpr (std::is_same_v<Kind, IGatherLayer> || std::is_same_v<Kind, IShuffleLayer> || std::is_same_v<Kind, IDequantizeLayer>)
        {
            this->mImpl = &told;
        }
    }
};

struct Attention final : IAttention, apiv::SVAttention
{
    Node* node;
    ITensor* output;
    Attention(Node* node, ITensor* output)
        : node(node)
        , output(output)
    {
        mImpl = this;
    }
    ITensor* getOutput(int32_t) const noexcept override { return output; }
    bool setMask(ITensor& mask) noexcept override
    {
        node->inputs[3] = nodeOf(mask);
        return true;
    }
    bool setKeyValueLengths(ITensor* lengths) noexcept override
    {
        node->inputs[4] = nodeOf(*lengths);
        return true;
    }
    bool setDecomposable(bool) noexcept override { return true; }
};

struct Profile final : IOptimizationProfile, apiv::SVOptimizationProfile
{
    std::map<std::string, Range> ranges;
    Profile() { mImpl = this; }
    bool setDimensions(char const* name, OptProfileSelector select, Dims const& dims) noexcept override
    {
        auto& range = ranges[name];
        if (select == OptProfileSelector::kMIN)
        {
            range.least = lengthsOf(dims);
        }
        if (select == OptProfileSelector::kMAX)
        {
            range.most = lengthsOf(dims);
        }
        return true;
    }
};

struct Holder
{
    virtual ~Holder() = default;
};

template <typename Held>
struct Holds final : Holder
{
    std::unique_ptr<Held> held;
    explicit Holds(Held* held)
        : held(held)
    {
    }
};

struct Network final : INetworkDefinition, apiv::SVNetworkDefinition
{
    // Nodes stay where they are: layers point to them.
    std::vector<std::unique_ptr<Node>> nodes;
    std::vector<std::unique_ptr<Tensor>> tensors;
    std::vector<std::unique_ptr<Holder>> layers;
    std::vector<std::pair<Tensor*, int32_t>> outputs;

    Network() { mImpl = this; }

    Node* add(What what, std::vector<ITensor*> inputs, std::vector<int64_t> numbers = {})
    {
        auto node = std::make_unique<Node>();
        node->what = what;
        for (auto* input : inputs)
        {
            node->inputs.push_back(nodeOf(*input));
        }
        node->numbers = std::move(numbers);
        nodes.push_back(std::move(node));
        tensors.push_back(std::make_unique<Tensor>(static_cast<int32_t>(nodes.size()) - 1));
        return nodes.back().get();
    }
    template <typename Kind>
    Kind* layer(Node* node)
    {
        auto* made = new Layer<Kind>(node, tensors.back().get());
        layers.push_back(std::make_unique<Holds<Layer<Kind>>>(made));
        return made;
    }

    ITensor* addInput(char const* name, DataType type, Dims const& dims) noexcept override
    {
        auto* node = add(What::kInput, {});
        node->name = name;
        node->type = type;
        node->lengths = lengthsOf(dims);
        return tensors.back().get();
    }
    IConstantLayer* addConstant(Dims const& dims, Weights weights) noexcept override
    {
        auto* node = add(What::kConstant, {});
        node->type = weights.type;
        node->lengths = lengthsOf(dims);
        node->bytes.assign(static_cast<char const*>(weights.values), bytesOf(weights.type, weights.count));
        return layer<IConstantLayer>(node);
    }
    IGatherLayer* addGather(ITensor& data, ITensor& indices, int32_t axis) noexcept override
    {
        return layer<IGatherLayer>(add(What::kGather, {&data, &indices}, {axis, 0}));
    }
    IMatrixMultiplyLayer* addMatrixMultiply(ITensor& left, MatrixOperation, ITensor& right, MatrixOperation turn) noexcept override
    {
        return layer<IMatrixMultiplyLayer>(add(What::kMatrices, {&left, &right}, {turn == MatrixOperation::kTRANSPOSE}));
    }
    IElementWiseLayer* addElementWise(ITensor& left, ITensor& right, ElementWiseOperation operation) noexcept override
    {
        return layer<IElementWiseLayer>(add(What::kElements, {&left, &right}, {static_cast<int64_t>(operation)}));
    }
    IUnaryLayer* addUnary(ITensor& input, UnaryOperation operation) noexcept override
    {
        return operation == UnaryOperation::kSQRT ? layer<IUnaryLayer>(add(What::kRoot, {&input})) : nullptr;
    }
    IActivationLayer* addActivation(ITensor& input, ActivationType type) noexcept override
    {
        return type == ActivationType::kSIGMOID ? layer<IActivationLayer>(add(What::kSigmoid, {&input})) : nullptr;
    }
    IReduceLayer* addReduce(ITensor& input, ReduceOperation operation, uint32_t axes, bool keep) noexcept override
    {
        return operation == ReduceOperation::kAVG && keep ? layer<IReduceLayer>(add(What::kMean, {&input}, {axes})) : nullptr;
    }
    ICastLayer* addCast(ITensor& input, DataType type) noexcept override
    {
        auto* node = add(What::kCast, {&input});
        node->type = type;
        return layer<ICastLayer>(node);
    }
    IShuffleLayer* addShuffle(ITensor& input) noexcept override { return layer<IShuffleLayer>(add(What::kShuffle, {&input})); }
    IRotaryEmbeddingLayer* addRotaryEmbedding(ITensor& input, ITensor& cosines, ITensor& sines, bool interleaved, int32_t) noexcept override
    {
        return layer<IRotaryEmbeddingLayer>(add(What::kRotate, {&input, &cosines, &sines}, {interleaved}));
    }
    IKVCacheUpdateLayer* addKVCacheUpdate(ITensor& cache, ITensor& update, ITensor& places, KVCacheMode) noexcept override
    {
        auto const input = nodes[static_cast<size_t>(nodeOf(cache))].get();
        auto* node = add(What::kStore, {&cache, &update, &places});
        node->type = input->type;
        node->name = input->name;
        return layer<IKVCacheUpdateLayer>(node);
    }
    IAttention* addAttentionV2(ITensor& queries, ITensor& keys, ITensor& values, AttentionNormalizationOp, CausalMaskKind kind) noexcept override
    {
        auto* node = add(What::kAttend, {&queries, &keys, &values, &queries, &queries});
        auto* made = new Attention(node, tensors.back().get());
        layers.push_back(std::make_unique<Holds<Attention>>(made));
        return kind == CausalMaskKind::kNONE ? made : nullptr;
    }
    IDequantizeLayer* addDequantizeV2(ITensor& input, ITensor& scales, DataType type) noexcept override
    {
        auto* node = add(What::kDequantise, {&input, &scales}, {-1});
        node->type = type;
        return layer<IDequantizeLayer>(node);
    }
    void markOutput(ITensor& tensor) noexcept override { outputs.emplace_back(static_cast<Tensor*>(&tensor), nodeOf(tensor)); }
};

struct Config final : IBuilderConfig, apiv::SVBuilderConfig
{
    Profile const* profile{nullptr};
    int32_t capability{0};
    int64_t workspace{0};
    IProgressMonitor* monitor{nullptr};
    Config() { mImpl = this; }
    int32_t addOptimizationProfile(IOptimizationProfile const* added) noexcept override
    {
        profile = static_cast<Profile const*>(added);
        return 0;
    }
    void setMemoryPoolLimit(MemoryPoolType, std::size_t bytes) noexcept override { workspace = static_cast<int64_t>(bytes); }
    void setProgressMonitor(IProgressMonitor* told) noexcept override { monitor = told; }
    bool setNbComputeCapabilities(int32_t count) noexcept override { return count == 1; }
    bool setComputeCapability(ComputeCapability wanted, int32_t) noexcept override
    {
        capability = static_cast<int32_t>(wanted);
        return true;
    }
};

struct Memory final : IHostMemory, apiv::SVHostMemory
{
    std::string bytes;
    explicit Memory(std::string bytes)
        : bytes(std::move(bytes))
    {
        mImpl = this;
    }
    void* data() const noexcept override { return const_cast<char*>(bytes.data()); }
    std::size_t size() const noexcept override { return bytes.size(); }
};

struct Builder final : IBuilder, apiv::SVBuilder
{
    // They belong to the builder.
    std::vector<std::unique_ptr<Profile>> profiles;
    Builder() { mImpl = this; }
    IBuilderConfig* createBuilderConfig() noexcept override { return new Config; }
    INetworkDefinition* createNetworkV2(NetworkDefinitionCreationFlags) noexcept override { return new Network; }
    IOptimizationProfile* createOptimizationProfile() noexcept override
    {
        profiles.push_back(std::make_unique<Profile>());
        return profiles.back().get();
    }
    IHostMemory* buildSerializedNetwork(INetworkDefinition& definition, IBuilderConfig& configuration) noexcept override
    {
        auto const& network = static_cast<Network const&>(definition);
        auto const& config = static_cast<Config const&>(configuration);
        constexpr int32_t kSteps = 30;
        config.monitor->phaseStart("building", nullptr, kSteps);
        for (int32_t step = 0; step < kSteps; ++step)
        {
            if (!config.monitor->stepComplete("building", step))
            {
                return nullptr;
            }
        }
        Plan plan;
        for (auto const& node : network.nodes)
        {
            plan.nodes.push_back(*node);
        }
        for (auto const& [tensor, node] : network.outputs)
        {
            plan.outputs.emplace_back(tensor->impl.name, node);
        }
        plan.ranges = config.profile->ranges;
        plan.capability = config.capability;
        plan.workspace = config.workspace;
        return new Memory(write(plan));
    }
};

// Computing.

struct Value
{
    Lengths lengths;
    std::vector<float> numbers;
};

// The index into a value of `lengths`, of which some are 1 for all, at a place of a larger one.
int64_t spread(Lengths const& lengths, Lengths const& larger, int64_t place)
{
    int64_t index = 0;
    int64_t step = 1;
    for (size_t i = 0; i < larger.size(); ++i)
    {
        size_t const own = larger.size() - 1 - i;
        int64_t const at = place % larger[own];
        place /= larger[own];
        if (i < lengths.size())
        {
            int64_t const length = lengths[lengths.size() - 1 - i];
            index += (length == 1 ? 0 : at) * step;
            step *= length;
        }
    }
    return index;
}

// Where things lie while a step is computed.
struct Step
{
    Plan const* plan;
    std::map<std::string, Lengths> shapes;
    std::map<std::string, uint64_t> places;
};

Value gather(Value const& data, Value const& indices, int64_t axis, int64_t same)
{
    int64_t const row = product(Lengths(data.lengths.begin() + axis + 1, data.lengths.end()));
    int64_t const choice = data.lengths[static_cast<size_t>(axis)];
    int64_t const outer = product(Lengths(data.lengths.begin(), data.lengths.begin() + axis));
    int64_t const each = same == 0 ? product(indices.lengths) : product(Lengths(indices.lengths.begin() + same, indices.lengths.end()));
    Value result;
    result.lengths.assign(data.lengths.begin(), data.lengths.begin() + axis);
    result.lengths.insert(result.lengths.end(), indices.lengths.begin() + same, indices.lengths.end());
    result.lengths.insert(result.lengths.end(), data.lengths.begin() + axis + 1, data.lengths.end());
    for (int64_t part = 0; part < outer; ++part)
    {
        for (int64_t index = 0; index < each; ++index)
        {
            auto const chosen = static_cast<int64_t>(indices.numbers[static_cast<size_t>(same == 0 ? index : part * each + index)]);
            auto const from = data.numbers.begin() + (part * choice + chosen) * row;
            result.numbers.insert(result.numbers.end(), from, from + row);
        }
    }
    return result;
}

Value matrices(Value const& left, Value const& right, bool turned)
{
    size_t const rank = left.lengths.size();
    int64_t const inner = left.lengths[rank - 1];
    int64_t const columns = right.lengths[right.lengths.size() - (turned ? 2 : 1)];
    int64_t const rows = product(left.lengths) / inner;
    Value result;
    result.lengths = left.lengths;
    result.lengths[rank - 1] = columns;
    result.numbers.resize(static_cast<size_t>(rows * columns));
    for (int64_t row = 0; row < rows; ++row)
    {
        float const* from = left.numbers.data() + row * inner;
        float* to = result.numbers.data() + row * columns;
        for (int64_t k = 0; k < inner; ++k)
        {
            for (int64_t column = 0; column < columns; ++column)
            {
                to[column] += from[k] * right.numbers[static_cast<size_t>(turned ? column * inner + k : k * columns + column)];
            }
        }
    }
    return result;
}

Value elements(Value const& left, Value const& right, ElementWiseOperation operation)
{
    Value result;
    for (size_t i = 0; i < left.lengths.size(); ++i)
    {
        result.lengths.push_back(std::max(left.lengths[i], right.lengths[i]));
    }
    for (int64_t at = 0; at < product(result.lengths); ++at)
    {
        float const one = left.numbers[static_cast<size_t>(spread(left.lengths, result.lengths, at))];
        float const two = right.numbers[static_cast<size_t>(spread(right.lengths, result.lengths, at))];
        result.numbers.push_back(operation == ElementWiseOperation::kSUM ? one + two : operation == ElementWiseOperation::kPROD ? one * two : one / two);
    }
    return result;
}

// Along the last dimension: no other is asked for.
Value mean(Value const& input)
{
    int64_t const length = input.lengths.back();
    Value result{input.lengths, {}};
    result.lengths.back() = 1;
    for (int64_t row = 0; row < product(result.lengths); ++row)
    {
        float sum = 0;
        for (int64_t i = 0; i < length; ++i)
        {
            sum += input.numbers[static_cast<size_t>(row * length + i)];
        }
        result.numbers.push_back(sum / static_cast<float>(length));
    }
    return result;
}

Value shuffle(Value input, Node const& node)
{
    if (!node.numbers.empty())
    {
        Lengths const from = input.lengths;
        Lengths to;
        for (auto axis : node.numbers)
        {
            to.push_back(from[static_cast<size_t>(axis)]);
        }
        Value turned{to, std::vector<float>(input.numbers.size())};
        for (int64_t at = 0; at < product(to); ++at)
        {
            int64_t rest = at;
            Lengths places(from.size());
            for (size_t i = to.size(); i-- > 0;)
            {
                places[static_cast<size_t>(node.numbers[i])] = rest % to[i];
                rest /= to[i];
            }
            int64_t index = 0;
            for (size_t i = 0; i < from.size(); ++i)
            {
                index = index * from[i] + places[i];
            }
            turned.numbers[static_cast<size_t>(at)] = input.numbers[static_cast<size_t>(index)];
        }
        input = std::move(turned);
    }
    if (!node.lengths.empty())
    {
        Lengths lengths = node.lengths;
        for (size_t i = 0; i < lengths.size(); ++i)
        {
            lengths[i] = lengths[i] == 0 ? input.lengths[i] : lengths[i];
        }
        input.lengths = lengths;
    }
    return input;
}

Value rotate(Value input, Value const& cosines, Value const& sines, Value const& positions, bool neighbours)
{
    int64_t const heads = input.lengths[1];
    int64_t const tokens = input.lengths[2];
    int64_t const size = input.lengths[3];
    int64_t const half = size / 2;
    for (int64_t row = 0; row < product(input.lengths) / size; ++row)
    {
        int64_t const sequence = row / (heads * tokens);
        auto const position = static_cast<int64_t>(positions.numbers[static_cast<size_t>(sequence * tokens + row % tokens)]);
        for (int64_t pair = 0; pair < half; ++pair)
        {
            float const cosine = cosines.numbers[static_cast<size_t>(position * half + pair)];
            float const sine = sines.numbers[static_cast<size_t>(position * half + pair)];
            float& x = input.numbers[static_cast<size_t>(row * size + (neighbours ? 2 * pair : pair))];
            float& y = input.numbers[static_cast<size_t>(row * size + (neighbours ? 2 * pair + 1 : pair + half))];
            float const turned = x * cosine - y * sine;
            y = x * sine + y * cosine;
            x = turned;
        }
    }
    return input;
}

// Writes the rows where the cache lies, and sees them as they are there.
Value store(Value cache, Value const& update, Value const& places, DataType type, void* memory)
{
    int64_t const heads = cache.lengths[1];
    int64_t const rows = cache.lengths[2];
    int64_t const size = cache.lengths[3];
    int64_t const tokens = update.lengths[2];
    for (int64_t at = 0; at < product(update.lengths); ++at)
    {
        int64_t const number = at % size;
        int64_t const token = at / size % tokens;
        int64_t const head = at / size / tokens % heads;
        int64_t const sequence = at / size / tokens / heads;
        int64_t const row = static_cast<int64_t>(places.numbers[static_cast<size_t>(sequence)]) + token;
        if (row >= rows)
        {
            std::fprintf(stderr, "the library: a row outside of its cache\n");
            std::abort();
        }
        int64_t const index = ((sequence * heads + head) * rows + row) * size + number;
        putNumber(type, memory, index, update.numbers[static_cast<size_t>(at)]);
        cache.numbers[static_cast<size_t>(index)] = numberAt(type, memory, index);
    }
    return cache;
}

Value attend(Value const& queries, Value const& keys, Value const& values, Value const& mask, Value const& counts)
{
    int64_t const heads = queries.lengths[1];
    int64_t const tokens = queries.lengths[2];
    int64_t const size = queries.lengths[3];
    int64_t const group = heads / keys.lengths[1];
    int64_t const rows = keys.lengths[2];
    Value result{queries.lengths, std::vector<float>(queries.numbers.size())};
    for (int64_t at = 0; at < product(queries.lengths) / size; ++at)
    {
        int64_t const token = at % tokens;
        int64_t const head = at / tokens % heads;
        int64_t const sequence = at / tokens / heads;
        int64_t const part = (sequence * keys.lengths[1] + head / group) * rows;
        auto const count = static_cast<int64_t>(counts.numbers[static_cast<size_t>(sequence)]);
        std::vector<float> scores(static_cast<size_t>(rows), -INFINITY);
        float most = -INFINITY;
        for (int64_t row = 0; row < count; ++row)
        {
            if (mask.numbers[static_cast<size_t>((sequence * tokens + token) * rows + row)] == 0)
            {
                continue;
            }
            float score = 0;
            for (int64_t i = 0; i < size; ++i)
            {
                score += queries.numbers[static_cast<size_t>(at * size + i)] * keys.numbers[static_cast<size_t>((part + row) * size + i)];
            }
            scores[static_cast<size_t>(row)] = score;
            most = std::max(most, score);
        }
        float sum = 0;
        for (auto& score : scores)
        {
            score = std::exp(score - most);
            sum += score;
        }
        for (int64_t row = 0; row < rows; ++row)
        {
            float const share = scores[static_cast<size_t>(row)] / sum;
            for (int64_t i = 0; share > 0 && i < size; ++i)
            {
                result.numbers[static_cast<size_t>(at * size + i)] += share * values.numbers[static_cast<size_t>((part + row) * size + i)];
            }
        }
    }
    return result;
}

// A scale for all, for each output, or for each block of an output's inputs.
Value dequantise(Value input, Value const& scales)
{
    int64_t const outputs = input.lengths[1];
    int64_t const block = scales.lengths.size() == 2 ? input.lengths[0] / scales.lengths[0] : 0;
    for (int64_t at = 0; at < product(input.lengths); ++at)
    {
        int64_t const row = at / outputs;
        int64_t const column = at % outputs;
        int64_t const scale = scales.lengths.empty() ? 0 : block == 0 ? column : row / block * outputs + column;
        input.numbers[static_cast<size_t>(at)] *= scales.numbers[static_cast<size_t>(scale)];
    }
    return input;
}

Value numbersAt(DataType type, Lengths const& lengths, void const* bytes)
{
    Value value{lengths, {}};
    for (int64_t i = 0; i < product(lengths); ++i)
    {
        value.numbers.push_back(numberAt(type, bytes, i));
    }
    return value;
}

void* placeOf(Step const& step, std::string const& name, DataType type, Lengths const& lengths)
{
    return card_at(step.places.at(name), bytesOf(type, product(lengths)));
}

void compute(Step const& step, std::map<int32_t, Value>& constants)
{
    std::vector<Value> values;
    for (auto const& node : step.plan->nodes)
    {
        auto in = [&](size_t index) -> Value const& {
            auto const at = node.inputs[index];
            auto const constant = constants.find(at);
            return constant == constants.end() ? values[static_cast<size_t>(at)] : constant->second;
        };
        auto each = [&](auto&& change) {
            Value value = in(0);
            for (auto& number : value.numbers)
            {
                number = change(number);
            }
            return value;
        };
        auto const index = static_cast<int32_t>(values.size());
        // What follows from constants alone is one.
        bool constant = !node.inputs.empty();
        for (auto input : node.inputs)
        {
            constant = constant && constants.count(input) > 0;
        }
        Value value;
        switch (node.what)
        {
        case What::kInput:
        {
            auto const& lengths = step.shapes.at(node.name);
            void const* memory = placeOf(step, node.name, node.type, lengths);
            if (memory == nullptr)
            {
                return;
            }
            value = numbersAt(node.type, lengths, memory);
            break;
        }
        case What::kConstant:
            if (constants.count(index) == 0)
            {
                constants[index] = numbersAt(node.type, node.lengths, node.bytes.data());
            }
            break;
        default:
            if (constants.count(index) > 0)
            {
                break;
            }
            switch (node.what)
            {
            case What::kGather: value = gather(in(0), in(1), node.numbers[0], node.numbers[1]); break;
            case What::kMatrices: value = matrices(in(0), in(1), node.numbers[0] != 0); break;
            case What::kElements: value = elements(in(0), in(1), static_cast<ElementWiseOperation>(node.numbers[0])); break;
            case What::kRoot: value = each([](float number) { return std::sqrt(number); }); break;
            case What::kSigmoid: value = each([](float number) { return 1.0F / (1.0F + std::exp(-number)); }); break;
            case What::kMean: value = mean(in(0)); break;
            case What::kCast: value = in(0); break;
            case What::kShuffle: value = shuffle(in(0), node); break;
            case What::kRotate: value = rotate(in(0), in(1), in(2), in(3), node.numbers[0] != 0); break;
            case What::kStore: value = store(in(0), in(1), in(2), node.type, placeOf(step, node.name, node.type, in(0).lengths)); break;
            case What::kAttend: value = attend(in(0), in(1), in(2), in(3), in(4)); break;
            case What::kDequantise: value = dequantise(in(0), in(1)); break;
            default: std::abort();
            }
            if (constant)
            {
                constants[index] = std::move(value);
                value = {};
            }
        }
        values.push_back(std::move(value));
    }
    for (auto const& [name, node] : step.plan->outputs)
    {
        // Caches have been written where they lie.
        if (step.plan->nodes[static_cast<size_t>(node)].what == What::kStore)
        {
            continue;
        }
        auto const& value = values[static_cast<size_t>(node)];
        void* memory = placeOf(step, name, DataType::kFLOAT, value.lengths);
        for (int64_t i = 0; memory != nullptr && i < product(value.lengths); ++i)
        {
            float const wrong = i % value.lengths.back() == 3 ? static_cast<float>(card_setting("wrong", 0)) : 0.0F;
            putNumber(DataType::kFLOAT, memory, i, value.numbers[static_cast<size_t>(i)] + wrong);
        }
    }
}

// Running.

struct Cache final : IRuntimeCache, apiv::SVRuntimeCache
{
    std::set<std::string> kernels;
    Cache() { mImpl = this; }
    IHostMemory* serialize() const noexcept override
    {
        std::string bytes = kMagic;
        for (auto const& kernel : kernels)
        {
            bytes += "\n" + kernel;
        }
        return new Memory(bytes);
    }
    bool deserialize(void const* blob, size_t size) noexcept override
    {
        std::string const bytes(static_cast<char const*>(blob), size);
        if (bytes.rfind(kMagic, 0) != 0)
        {
            return refuse("these are kernels of another card");
        }
        kernels.insert("kept");
        return true;
    }
    bool reset() noexcept override
    {
        kernels.clear();
        return true;
    }
};

struct Way final : IRuntimeConfig, apiv::SVRuntimeConfig
{
    bool graphs{false};
    Cache* cache{nullptr};
    Way() { mImpl = this; }
    void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy) noexcept override {}
    void setDynamicShapesKernelSpecializationStrategy(DynamicShapesKernelSpecializationStrategy) noexcept override {}
    bool setCudaGraphStrategy(CudaGraphStrategy strategy) noexcept override
    {
        graphs = strategy == CudaGraphStrategy::kWHOLE_GRAPH_CAPTURE;
        return true;
    }
    IRuntimeCache* createRuntimeCache() const noexcept override { return new Cache; }
    bool setRuntimeCache(IRuntimeCache const& used) noexcept override
    {
        cache = const_cast<Cache*>(static_cast<Cache const*>(&used));
        return true;
    }
};

struct Context final : IExecutionContext, apiv::SVExecutionContext
{
    Step step;
    std::map<int32_t, Value>* constants;
    Way* way;
    uint64_t memory{0};
    int64_t bytes{0};
    // Of each shape where everything lay when it was captured.
    std::map<std::string, Step> captured;
    std::set<std::string> seen;

    Context(Plan const* plan, std::map<int32_t, Value>* constants, Way* way)
        : constants(constants)
        , way(way)
    {
        mImpl = this;
        step.plan = plan;
    }
    bool setInputShape(char const* name, Dims const& dims) noexcept override
    {
        auto const range = step.plan->ranges.find(name);
        auto const lengths = lengthsOf(dims);
        if (range == step.plan->ranges.end() || range->second.least.size() != lengths.size())
        {
            return refuse(std::string("there is no such input: ") + name);
        }
        for (size_t i = 0; i < lengths.size(); ++i)
        {
            if (lengths[i] < range->second.least[i] || lengths[i] > range->second.most[i])
            {
                return refuse(std::string("a length is outside of its range: ") + name);
            }
        }
        step.shapes[name] = lengths;
        return true;
    }
    bool setTensorAddress(char const* name, void* data) noexcept override
    {
        auto const place = reinterpret_cast<uint64_t>(data);
        if (place == 0 || place % 256 != 0)
        {
            return refuse(std::string("not at a multiple of 256 bytes: ") + name);
        }
        step.places[name] = place;
        return true;
    }
    // More for a few tokens than for many, as a library may want.
    size_t updateDeviceMemorySizeForShapes() noexcept override
    {
        auto const tokens = product(step.shapes.at("tokens"));
        bool const greedy = card_setting("greedy", 0) != 0 && tokens == 2;
        return static_cast<size_t>(greedy ? 3 << 20 : 1024 * tokens);
    }
    void setDeviceMemoryV2(void* data, int64_t size) noexcept override
    {
        memory = reinterpret_cast<uint64_t>(data);
        bytes = size;
    }
    bool enqueueV3(cudaStream_t stream) noexcept override
    {
        static long enqueued = 0;
        if (++enqueued == card_setting("refuse_at", -1))
        {
            return refuse("it does not want to");
        }
        auto const needed = updateDeviceMemorySizeForShapes();
        if (static_cast<size_t>(bytes) < needed || card_at(memory, needed) == nullptr)
        {
            return refuse("there is too little memory to compute in");
        }
        std::string shape;
        for (auto const& [name, lengths] : step.shapes)
        {
            for (auto length : lengths)
            {
                shape += std::to_string(length) + " ";
            }
        }
        for (auto const& [name, node] : step.plan->outputs)
        {
            auto const cache = step.plan->nodes[static_cast<size_t>(node)];
            if (step.places.count(name) == 0 || (cache.what == What::kStore && step.places[name] != step.places[cache.name]))
            {
                return refuse("an output lies nowhere, or a cache elsewhere than it did: " + name);
            }
        }
        way->cache->kernels.insert(shape);
        Step now = step;
        if (way->graphs)
        {
            // A step that was captured goes on with what it was captured with.
            if (captured.count(shape) > 0)
            {
                now = captured[shape];
            }
            else if (!seen.insert(shape).second)
            {
                captured[shape] = step;
            }
        }
        auto* known = constants;
        std::function<void()> work = [now, known] { compute(now, *known); };
        return card_push(stream, &work);
    }
};

struct Engine final : ICudaEngine, apiv::SVCudaEngine
{
    Plan plan;
    std::map<int32_t, Value> constants;
    std::vector<std::pair<std::string, int32_t>> ends;
    Engine() { mImpl = this; }
    Node const* input(char const* name) const
    {
        for (auto const& node : plan.nodes)
        {
            if (node.what == What::kInput && node.name == name)
            {
                return &node;
            }
        }
        return nullptr;
    }
    int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(ends.size()); }
    char const* getIOTensorName(int32_t index) const noexcept override { return ends[static_cast<size_t>(index)].first.c_str(); }
    Dims getTensorShape(char const* name) const noexcept override
    {
        auto const* node = input(name);
        return dimsOf(node == nullptr ? Lengths{} : node->lengths);
    }
    DataType getTensorDataType(char const* name) const noexcept override
    {
        auto const* node = input(name);
        return node == nullptr ? DataType::kFLOAT : node->type;
    }
    TensorLocation getTensorLocation(char const*) const noexcept override { return TensorLocation::kDEVICE; }
    int64_t getDeviceMemorySizeV2() const noexcept override
    {
        return card_setting("greedy", 0) != 0 ? 4 << 20 : 1024 * product(plan.ranges.at("tokens").most);
    }
    IRuntimeConfig* createRuntimeConfig() noexcept override { return new Way; }
    IExecutionContext* createExecutionContextWithRuntimeConfig(IRuntimeConfig* way) noexcept override
    {
        return new Context(&plan, &constants, static_cast<Way*>(way));
    }
};

struct Runtime final : IRuntime, apiv::SVRuntime
{
    Runtime() { mImpl = this; }
    ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override
    {
        auto engine = std::make_unique<Engine>();
        if (!read(static_cast<char const*>(blob), size, engine->plan))
        {
            refuse("this is no engine");
            return nullptr;
        }
        for (auto const& node : engine->plan.nodes)
        {
            if (node.what == What::kInput)
            {
                engine->ends.emplace_back(node.name, 0);
            }
        }
        engine->ends.insert(engine->ends.end(), engine->plan.outputs.begin(), engine->plan.outputs.end());
        return engine.release();
    }
    EngineValidity getEngineValidity(void const*, int64_t, uint64_t* why) const noexcept override
    {
        *why = 0;
        return static_cast<EngineValidity>(card_setting("validity", 0));
    }
};

} // namespace

extern "C"
{

void* createInferBuilder_INTERNAL(void* log, int32_t) noexcept
{
    gLog = static_cast<ILogger*>(log);
    return static_cast<IBuilder*>(new Builder);
}
void* createInferRuntime_INTERNAL(void* log, int32_t) noexcept
{
    gLog = static_cast<ILogger*>(log);
    return static_cast<IRuntime*>(new Runtime);
}
int32_t getInferLibVersion() noexcept
{
    return NV_TENSORRT_VERSION + static_cast<int32_t>(card_setting("version", 0));
}

} // extern "C"
