// A graphics card that is none, for tests: the driver's functions that a node uses, with this machine's memory.
//
// It does everything as late as a real one may: work that was given to a stream is done when somebody waits for that
// stream, and not before. Whoever forgets to wait, lets go of memory too early or frees it twice is found out here.
// The environment says what the card is like: STARLING_CARD="memory=8000000000,oom_at=7,…".

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#ifdef _WIN32
#include <malloc.h>
#endif

// As wide as a C long is on Linux.
using Number = int64_t;

namespace
{

void* taken(size_t bytes)
{
#ifdef _WIN32
    return _aligned_malloc(bytes, 512);
#else
    void* memory = nullptr;
    return posix_memalign(&memory, 512, bytes) == 0 ? memory : nullptr;
#endif
}

void given(void* memory)
{
#ifdef _WIN32
    _aligned_free(memory);
#else
    std::free(memory);
#endif
}

enum Result
{
    kSuccess = 0,
    kInvalid = 1,
    kOutOfMemory = 2,
    kNoDevice = 100,
    kIllegalAddress = 700,
};

std::recursive_mutex gLock;

// What a test has said, besides the environment.
std::map<std::string, Number>& told()
{
    static auto* one = new std::map<std::string, Number>;
    return *one;
}

// What is said of `name`.
Number setting(char const* name, Number otherwise)
{
    std::lock_guard<std::recursive_mutex> guard(gLock);
    auto const own = told().find(name);
    if (own != told().end())
    {
        return own->second;
    }
    char const* all = std::getenv("STARLING_CARD");
    std::string const key = std::string(name) + "=";
    std::string const text = all == nullptr ? "" : std::string(",") + all;
    auto const at = text.find("," + key);
    return at == std::string::npos ? otherwise : std::atoll(text.c_str() + at + 1 + key.size());
}

struct Stream
{
    std::deque<std::function<void()>> work;
};

struct Card
{
    std::map<uint64_t, size_t> live;
    std::map<void*, Stream*> streams;
    Number used{0};
    Number allocations{0};
    Number frees{0};
    Number waits{0};
    Number contexts{0};
    Number wrongs{0};
    bool lost{false};
    void* current{nullptr};

    void wrong(char const* what)
    {
        ++wrongs;
        std::fprintf(stderr, "the card: %s\n", what);
    }

    // Whether so many bytes from `address` on are somebody's.
    bool has(uint64_t address, size_t bytes)
    {
        auto next = live.upper_bound(address);
        if (next == live.begin())
        {
            return false;
        }
        --next;
        return address + bytes <= next->first + next->second;
    }

    void* at(uint64_t address, size_t bytes)
    {
        if (has(address, bytes))
        {
            return reinterpret_cast<void*>(address);
        }
        wrong("memory is used that nobody has");
        return nullptr;
    }

    int take(uint64_t* address, size_t bytes)
    {
        bool const full = used + static_cast<Number>(bytes) > setting("memory", Number{8} << 30);
        if (++allocations == setting("oom_at", -1) || full)
        {
            // It was not one.
            ++frees;
            return kOutOfMemory;
        }
        void* memory = bytes == 0 ? nullptr : taken(bytes);
        if (memory == nullptr)
        {
            return kInvalid;
        }
        std::memset(memory, 0xa5, bytes);
        live[reinterpret_cast<uint64_t>(memory)] = bytes;
        used += static_cast<Number>(bytes);
        *address = reinterpret_cast<uint64_t>(memory);
        return kSuccess;
    }

    void give(uint64_t address)
    {
        auto const found = live.find(address);
        if (found == live.end())
        {
            return wrong("memory is freed that nobody has");
        }
        used -= static_cast<Number>(found->second);
        ++frees;
        std::memset(reinterpret_cast<void*>(address), 0x5a, found->second);
        given(reinterpret_cast<void*>(address));
        live.erase(found);
    }

    int push(void* stream, std::function<void()> work)
    {
        auto const found = streams.find(stream);
        if (found == streams.end())
        {
            wrong("there is no such stream");
            return kInvalid;
        }
        found->second->work.push_back(std::move(work));
        return lost ? kIllegalAddress : kSuccess;
    }

    void run(Stream* stream)
    {
        while (!stream->work.empty())
        {
            auto work = std::move(stream->work.front());
            stream->work.pop_front();
            work();
        }
    }
};

Card& card()
{
    static Card* one = new Card;
    return *one;
}

using Guard = std::lock_guard<std::recursive_mutex>;

} // namespace

extern "C"
{

int cuInit(unsigned)
{
    return setting("devices", 1) == 0 ? kNoDevice : kSuccess;
}
int cuDriverGetVersion(int* version)
{
    *version = static_cast<int>(setting("cuda", 13000));
    return kSuccess;
}
int cuDeviceGet(int* device, int ordinal)
{
    *device = ordinal;
    return ordinal < setting("devices", 1) ? kSuccess : kNoDevice;
}
int cuDeviceGetName(char* name, int length, int)
{
    std::snprintf(name, static_cast<size_t>(length), "no card");
    return kSuccess;
}
int cuDeviceTotalMem_v2(size_t* bytes, int)
{
    *bytes = static_cast<size_t>(setting("memory", Number{8} << 30));
    return kSuccess;
}
int cuMemGetInfo_v2(size_t* free, size_t* total)
{
    Guard guard(gLock);
    *total = static_cast<size_t>(setting("memory", Number{8} << 30));
    *free = static_cast<size_t>(setting("free", static_cast<Number>(*total) - card().used));
    return kSuccess;
}
int cuDeviceGetAttribute(int* value, int attribute, int)
{
    // 75, 76: compute capability; 115: memory in the order of a stream.
    *value = attribute == 75 ? static_cast<int>(setting("major", 8))
        : attribute == 76    ? static_cast<int>(setting("minor", 9))
        : attribute == 115   ? static_cast<int>(setting("pools", 1))
                             : 0;
    return kSuccess;
}
int cuDevicePrimaryCtxRetain(void** context, int)
{
    Guard guard(gLock);
    ++card().contexts;
    *context = &card();
    return kSuccess;
}
int cuDevicePrimaryCtxRelease_v2(int)
{
    Guard guard(gLock);
    --card().contexts;
    return kSuccess;
}
int cuCtxGetCurrent(void** context)
{
    Guard guard(gLock);
    *context = card().current;
    return kSuccess;
}
int cuCtxSetCurrent(void* context)
{
    Guard guard(gLock);
    card().current = context;
    return kSuccess;
}
int cuCtxSynchronize()
{
    Guard guard(gLock);
    for (auto& [handle, stream] : card().streams)
    {
        card().run(stream);
    }
    return kSuccess;
}
int cuStreamCreate(void** stream, unsigned)
{
    Guard guard(gLock);
    auto* made = new Stream;
    card().streams[made] = made;
    *stream = made;
    return kSuccess;
}
int cuStreamDestroy_v2(void* stream)
{
    Guard guard(gLock);
    auto const found = card().streams.find(stream);
    if (found == card().streams.end())
    {
        card().wrong("a stream is destroyed that nobody has");
        return kInvalid;
    }
    card().run(found->second);
    delete found->second;
    card().streams.erase(found);
    return kSuccess;
}
int cuStreamSynchronize(void* stream)
{
    Guard guard(gLock);
    if (++card().waits == setting("lost_at", -1))
    {
        card().lost = true;
    }
    auto const found = card().streams.find(stream);
    if (found == card().streams.end())
    {
        card().wrong("somebody waits for a stream that nobody has");
        return kInvalid;
    }
    card().run(found->second);
    return card().lost ? kIllegalAddress : kSuccess;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes)
{
    Guard guard(gLock);
    return card().take(address, bytes);
}
int cuMemAllocAsync(uint64_t* address, size_t bytes, void*)
{
    Guard guard(gLock);
    return card().take(address, bytes);
}
int cuMemFree_v2(uint64_t address)
{
    Guard guard(gLock);
    card().give(address);
    return kSuccess;
}
int cuMemFreeAsync(uint64_t address, void* stream)
{
    Guard guard(gLock);
    return card().push(stream, [address] { card().give(address); });
}
int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, void* stream)
{
    Guard guard(gLock);
    return card().push(stream, [=] {
        if (void* to = card().at(address, bytes))
        {
            std::memset(to, value, bytes);
        }
    });
}
int cuMemcpyHtoDAsync_v2(uint64_t address, void const* from, size_t bytes, void* stream)
{
    Guard guard(gLock);
    // The memory of whoever calls is read when its turn comes.
    return card().push(stream, [=] {
        if (void* to = card().at(address, bytes))
        {
            std::memcpy(to, from, bytes);
        }
    });
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t address, size_t bytes, void* stream)
{
    Guard guard(gLock);
    return card().push(stream, [=] {
        if (void* from = card().at(address, bytes))
        {
            std::memcpy(to, from, bytes);
        }
    });
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream)
{
    Guard guard(gLock);
    return card().push(stream, [=] {
        void* target = card().at(to, bytes);
        void* source = card().at(from, bytes);
        if (target != nullptr && source != nullptr)
        {
            std::memcpy(target, source, bytes);
        }
    });
}
int cuGetErrorName(int error, char const** name)
{
    *name = error == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : error == kNoDevice ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_ILLEGAL_ADDRESS";
    return kSuccess;
}
int cuGetErrorString(int error, char const** text)
{
    *text = error == kOutOfMemory ? "out of memory" : error == kNoDevice ? "no device" : "the context is lost";
    return kSuccess;
}

// For the library that computes on this card.

// Work in the order of a stream.
bool card_push(void* stream, std::function<void()>* work)
{
    Guard guard(gLock);
    return card().push(stream, *work) == kSuccess;
}
// Memory of the card, or nothing where nobody has so many bytes there.
void* card_at(uint64_t address, size_t bytes)
{
    Guard guard(gLock);
    return card().at(address, bytes);
}
Number card_setting(char const* name, Number otherwise)
{
    return setting(name, otherwise);
}

// For tests: what is left of everything.
struct Left
{
    Number allocations, frees, live, streams, contexts, wrongs, waits;
};
void card_tell(char const* name, Number value)
{
    Guard guard(gLock);
    told()[name] = value;
    card().lost = false;
}
void card_left(Left* left)
{
    Guard guard(gLock);
    auto& one = card();
    *left = Left{one.allocations, one.frees, static_cast<Number>(one.live.size()), static_cast<Number>(one.streams.size()), one.contexts, one.wrongs, one.waits};
}

} // extern "C"
