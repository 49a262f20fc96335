// TensorRT-RTX as flat functions of C, one for each thing that Starling asks of it.
//
// Nothing is decided here. Whoever calls owns what a function with "new" in its name gives, and everything that was made
// of an object goes before it. A null means that the library refused; it has told the log why.
//
// On Windows the library's classes are laid out as Microsoft's compiler does it, and a program may come from another one.
// Then this file alone is compiled in that layout, with nothing of C++'s library (`freestanding`): so no exceptions, no
// global `new`, and only numbers and pointers between it and the rest of the program, which both pass alike.

#include "NvInfer.h"

#include <cstdlib>

using namespace nvinfer1;

namespace
{

using Say = void (*)(void* to, int32_t severity, char const* text);
using Step = bool (*)(void* to, char const* phase, bool nested, int32_t step, int32_t steps);

// Room from C, which is the same for every compiler.
struct OnHeap
{
    static void* operator new(std::size_t bytes) noexcept
    {
        return std::malloc(bytes);
    }
    static void operator delete(void* object) noexcept
    {
        std::free(object);
    }
};

class Log final : public ILogger, public OnHeap
{
public:
    Log(Say say, void* to)
        : mSay(say)
        , mTo(to)
    {
    }
    void log(Severity severity, AsciiChar const* text) noexcept override
    {
        mSay(mTo, static_cast<int32_t>(severity), text);
    }

private:
    Say mSay;
    void* mTo;
};

class Progress final : public IProgressMonitor, public OnHeap
{
public:
    Progress(Step step, void* to)
        : mStep(step)
        , mTo(to)
    {
    }
    void phaseStart(char const* phase, char const* parent, int32_t steps) noexcept override
    {
        mStep(mTo, phase, parent != nullptr, -1, steps);
    }
    bool stepComplete(char const* phase, int32_t step) noexcept override
    {
        return mStep(mTo, phase, false, step, 0);
    }
    void phaseFinish(char const*) noexcept override {}

private:
    Step mStep;
    void* mTo;
};

Dims dims(int32_t count, int64_t const* lengths)
{
    Dims64 result{};
    result.nbDims = count;
    for (int32_t i = 0; i < count && i < Dims64::MAX_DIMS; ++i)
    {
        result.d[i] = lengths[i];
    }
    return result;
}

template <typename Layer>
ITensor* output(Layer* layer)
{
    return layer == nullptr ? nullptr : layer->getOutput(0);
}

ITensor* elementwise(INetworkDefinition* network, ITensor* left, ITensor* right, ElementWiseOperation operation)
{
    return output(network->addElementWise(*left, *right, operation));
}

} // namespace

extern "C"
{

int32_t starling_trt_version()
{
    return NV_TENSORRT_VERSION;
}

Log* starling_trt_log_new(Say say, void* to)
{
    return new Log(say, to);
}
void starling_trt_log_free(Log* log)
{
    delete log;
}

// Building.

IBuilder* starling_trt_builder_new(void* (*create)(void*, int32_t), Log* log)
{
    return static_cast<IBuilder*>(create(static_cast<ILogger*>(log), NV_TENSORRT_VERSION));
}
void starling_trt_builder_free(IBuilder* builder)
{
    delete builder;
}
INetworkDefinition* starling_trt_network_new(IBuilder* builder)
{
    return builder->createNetworkV2(0);
}
void starling_trt_network_free(INetworkDefinition* network)
{
    delete network;
}

ITensor* starling_trt_input(INetworkDefinition* network, char const* name, int32_t type, int32_t count, int64_t const* lengths)
{
    return network->addInput(name, static_cast<DataType>(type), dims(count, lengths));
}
ITensor* starling_trt_constant(INetworkDefinition* network, int32_t type, void const* numbers, int64_t amount, int32_t count, int64_t const* lengths)
{
    return output(network->addConstant(dims(count, lengths), Weights{static_cast<DataType>(type), numbers, amount}));
}
// Rows of `data` along `axis`; the first `same` dimensions of both belong together.
ITensor* starling_trt_gather(INetworkDefinition* network, ITensor* data, ITensor* indices, int32_t axis, int32_t same)
{
    auto* layer = network->addGather(*data, *indices, axis);
    if (layer != nullptr)
    {
        layer->setNbElementWiseDims(same);
    }
    return output(layer);
}
ITensor* starling_trt_multiply_matrices(INetworkDefinition* network, ITensor* left, ITensor* right, bool transposed)
{
    auto const turn = transposed ? MatrixOperation::kTRANSPOSE : MatrixOperation::kNONE;
    return output(network->addMatrixMultiply(*left, MatrixOperation::kNONE, *right, turn));
}
ITensor* starling_trt_add(INetworkDefinition* network, ITensor* left, ITensor* right)
{
    return elementwise(network, left, right, ElementWiseOperation::kSUM);
}
ITensor* starling_trt_multiply(INetworkDefinition* network, ITensor* left, ITensor* right)
{
    return elementwise(network, left, right, ElementWiseOperation::kPROD);
}
ITensor* starling_trt_divide(INetworkDefinition* network, ITensor* left, ITensor* right)
{
    return elementwise(network, left, right, ElementWiseOperation::kDIV);
}
ITensor* starling_trt_root(INetworkDefinition* network, ITensor* input)
{
    return output(network->addUnary(*input, UnaryOperation::kSQRT));
}
ITensor* starling_trt_sigmoid(INetworkDefinition* network, ITensor* input)
{
    return output(network->addActivation(*input, ActivationType::kSIGMOID));
}
ITensor* starling_trt_mean(INetworkDefinition* network, ITensor* input, int32_t axis)
{
    return output(network->addReduce(*input, ReduceOperation::kAVG, 1U << axis, true));
}
ITensor* starling_trt_cast(INetworkDefinition* network, ITensor* input, int32_t type)
{
    return output(network->addCast(*input, static_cast<DataType>(type)));
}
// Exchanges the second and third of four dimensions before, reshapes (a length of 0 stays as it is), or both.
ITensor* starling_trt_shuffle(INetworkDefinition* network, ITensor* input, bool exchange, int32_t count, int64_t const* lengths)
{
    auto* layer = network->addShuffle(*input);
    if (layer == nullptr)
    {
        return nullptr;
    }
    if (exchange)
    {
        layer->setFirstTranspose(Permutation{{0, 2, 1, 3}});
    }
    if (count > 0)
    {
        layer->setReshapeDimensions(dims(count, lengths));
    }
    return output(layer);
}
ITensor* starling_trt_rotate(INetworkDefinition* network, ITensor* input, ITensor* cosines, ITensor* sines, ITensor* positions, bool neighbours)
{
    auto* layer = network->addRotaryEmbedding(*input, *cosines, *sines, neighbours, 0);
    if (layer != nullptr)
    {
        layer->setInput(3, *positions);
    }
    return output(layer);
}
ITensor* starling_trt_store(INetworkDefinition* network, ITensor* cache, ITensor* update, ITensor* places)
{
    return output(network->addKVCacheUpdate(*cache, *update, *places, KVCacheMode::kLINEAR));
}
// The mask says who sees whom, the lengths how far there is anything to see.
ITensor* starling_trt_attend(INetworkDefinition* network, ITensor* queries, ITensor* keys, ITensor* values, ITensor* mask, ITensor* lengths)
{
    auto* layer = network->addAttentionV2(
        *queries, *keys, *values, AttentionNormalizationOp::kSOFTMAX, CausalMaskKind::kNONE);
    if (layer == nullptr || !layer->setMask(*mask) || !layer->setKeyValueLengths(lengths) || !layer->setDecomposable(true))
    {
        return nullptr;
    }
    return layer->getOutput(0);
}
// Below 0 there is no axis: the scales say by their shape what each is for.
ITensor* starling_trt_dequantise(INetworkDefinition* network, ITensor* input, ITensor* scales, int32_t type, int32_t axis)
{
    auto* layer = network->addDequantize(*input, *scales, static_cast<DataType>(type));
    if (layer != nullptr && axis >= 0)
    {
        layer->setAxis(axis);
    }
    return output(layer);
}
void starling_trt_output(INetworkDefinition* network, ITensor* tensor, char const* name)
{
    tensor->setName(name);
    network->markOutput(*tensor);
}

// Lengths of an input at the least, as a rule, and at the most.
IOptimizationProfile* starling_trt_profile(IBuilder* builder)
{
    return builder->createOptimizationProfile();
}
bool starling_trt_profile_lengths(IOptimizationProfile* profile, char const* name, int32_t count, int64_t const* least, int64_t const* usual, int64_t const* most)
{
    return profile->setDimensions(name, OptProfileSelector::kMIN, dims(count, least))
        && profile->setDimensions(name, OptProfileSelector::kOPT, dims(count, usual))
        && profile->setDimensions(name, OptProfileSelector::kMAX, dims(count, most));
}

// Builds for one compute capability, such as 89, or for that of the present card (1).
IHostMemory* starling_trt_build_new(IBuilder* builder, INetworkDefinition* network, IOptimizationProfile* profile, int32_t capability, uint64_t workspace, Step step, void* to)
{
    auto* config = builder->createBuilderConfig();
    if (config == nullptr)
    {
        return nullptr;
    }
    Progress progress(step, to);
    IHostMemory* built = nullptr;
    config->setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, static_cast<std::size_t>(workspace));
    config->setProgressMonitor(&progress);
    if (config->addOptimizationProfile(profile) >= 0 && config->setNbComputeCapabilities(1)
        && config->setComputeCapability(static_cast<ComputeCapability>(capability), 0))
    {
        built = builder->buildSerializedNetwork(*network, *config);
    }
    delete config;
    return built;
}
void const* starling_trt_memory_data(IHostMemory* memory)
{
    return memory->data();
}
uint64_t starling_trt_memory_size(IHostMemory* memory)
{
    return memory->size();
}
void starling_trt_memory_free(IHostMemory* memory)
{
    delete memory;
}

// Running.

IRuntime* starling_trt_runtime_new(void* (*create)(void*, int32_t), Log* log)
{
    return static_cast<IRuntime*>(create(static_cast<ILogger*>(log), NV_TENSORRT_VERSION));
}
void starling_trt_runtime_free(IRuntime* runtime)
{
    delete runtime;
}
// 0: good; else the library's own number for how it is not.
int32_t starling_trt_validity(IRuntime* runtime, void const* bytes, int64_t size, uint64_t* why)
{
    return static_cast<int32_t>(runtime->getEngineValidity(bytes, size, why));
}
ICudaEngine* starling_trt_engine_new(IRuntime* runtime, void const* bytes, uint64_t size)
{
    return runtime->deserializeCudaEngine(bytes, static_cast<std::size_t>(size));
}
void starling_trt_engine_free(ICudaEngine* engine)
{
    delete engine;
}
// What an engine takes and gives: names by number, and whether one is in the card's memory and of this type of numbers.
int32_t starling_trt_tensors(ICudaEngine* engine)
{
    return engine->getNbIOTensors();
}
char const* starling_trt_tensor_name(ICudaEngine* engine, int32_t index)
{
    return engine->getIOTensorName(index);
}
bool starling_trt_tensor_is(ICudaEngine* engine, char const* name, int32_t type, int32_t count, int64_t const* lengths)
{
    auto const own = engine->getTensorShape(name);
    bool same = own.nbDims == count && engine->getTensorDataType(name) == static_cast<DataType>(type)
        && engine->getTensorLocation(name) == TensorLocation::kDEVICE;
    for (int32_t i = 0; same && i < count; ++i)
    {
        same = own.d[i] == lengths[i];
    }
    return same;
}
// What contexts have in common. With `steady`, each shape's kernels are compiled when it is first seen, and the step is
// captured as a CUDA graph and replayed; else they are compiled beside the work, and come in when they are ready.
IRuntimeConfig* starling_trt_config_new(ICudaEngine* engine, bool steady)
{
    auto* config = engine->createRuntimeConfig();
    if (config != nullptr)
    {
        config->setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy::kUSER_MANAGED);
        config->setDynamicShapesKernelSpecializationStrategy(steady ? DynamicShapesKernelSpecializationStrategy::kEAGER
                                                                    : DynamicShapesKernelSpecializationStrategy::kLAZY);
        config->setCudaGraphStrategy(steady ? CudaGraphStrategy::kWHOLE_GRAPH_CAPTURE : CudaGraphStrategy::kDISABLED);
    }
    return config;
}
void starling_trt_config_free(IRuntimeConfig* config)
{
    delete config;
}
// Kernels that were compiled for this card.
IRuntimeCache* starling_trt_cache_new(IRuntimeConfig* config)
{
    return config->createRuntimeCache();
}
// Takes those of an earlier run; where they are of no use here the cache is empty.
bool starling_trt_cache_load(IRuntimeCache* cache, void const* bytes, uint64_t size)
{
    if (cache->deserialize(bytes, static_cast<std::size_t>(size)))
    {
        return true;
    }
    cache->reset();
    return false;
}
void starling_trt_cache_free(IRuntimeCache* cache)
{
    delete cache;
}
bool starling_trt_cache_use(IRuntimeConfig* config, IRuntimeCache* cache)
{
    return config->setRuntimeCache(*cache);
}
IHostMemory* starling_trt_cache_bytes_new(IRuntimeCache* cache)
{
    return cache->serialize();
}
// Bytes for any shape, and for those that a context was told last (0: it cannot say).
int64_t starling_trt_memory_most(ICudaEngine* engine)
{
    return engine->getDeviceMemorySizeV2();
}
uint64_t starling_trt_memory_now(IExecutionContext* context)
{
    return context->updateDeviceMemorySizeForShapes();
}
IExecutionContext* starling_trt_context_new(ICudaEngine* engine, IRuntimeConfig* config)
{
    return engine->createExecutionContext(config);
}
void starling_trt_context_free(IExecutionContext* context)
{
    delete context;
}
void starling_trt_context_memory(IExecutionContext* context, uint64_t address, int64_t size)
{
    context->setDeviceMemoryV2(reinterpret_cast<void*>(address), size);
}
bool starling_trt_shape(IExecutionContext* context, char const* name, int32_t count, int64_t const* lengths)
{
    return context->setInputShape(name, dims(count, lengths));
}
bool starling_trt_address(IExecutionContext* context, char const* name, uint64_t address)
{
    return context->setTensorAddress(name, reinterpret_cast<void*>(address));
}
bool starling_trt_enqueue(IExecutionContext* context, uint64_t stream)
{
    return context->enqueueV3(reinterpret_cast<cudaStream_t>(stream));
}

} // extern "C"
