// The C# of install.ps1 against vectors from outside: RFC 8032, RFC 7693, and what the caller has signed with minisign.
// Arguments: public key, document, signature file, and whether that holds (yes or no); repeated.
using System;
using System.IO;
using System.Text;
using Starling;

static class Vectors
{
    static int failed;

    static void Check(bool good, string what)
    {
        if (good) return;
        failed++;
        Console.WriteLine("FAILED " + what);
    }

    static byte[] Bytes(string hex)
    {
        byte[] bytes = new byte[hex.Length / 2];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = Convert.ToByte(hex.Substring(2 * i, 2), 16);
        return bytes;
    }

    static string Hex(byte[] bytes) { return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant(); }

    // RFC 8032, 7.1.
    static readonly string[][] Signed = {
        new string[] { "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
        new string[] { "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
        new string[] { "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
    };

    static void Ed()
    {
        foreach (string[] vector in Signed)
        {
            byte[] key = Bytes(vector[0]), message = Bytes(vector[1]), signature = Bytes(vector[2]);
            Check(Ed25519.Verify(message, signature, key), "RFC 8032 with " + vector[0]);
            for (int i = 0; i < 64; i += 7)
            {
                byte[] changed = (byte[])signature.Clone();
                changed[i] ^= 1;
                Check(!Ed25519.Verify(message, changed, key), "a signature with byte " + i + " changed");
            }
            Check(!Ed25519.Verify(new byte[] { 1, 2, 3 }, signature, key), "another message");
            Check(!Ed25519.Verify(message, Larger(signature), key), "s + L is not canonical");
        }
        // y = p + 1 stands for y = 1, and must be written so.
        byte[] large = Bytes("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        Check(!Ed25519.Verify(new byte[0], new byte[64], large), "a key that is not canonical");
        Check(!Ed25519.Verify(new byte[0], new byte[63], new byte[32]), "a short signature");
    }

    // The same signature with L added to s.
    static byte[] Larger(byte[] signature)
    {
        byte[] order = Bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        byte[] larger = (byte[])signature.Clone();
        int carry = 0;
        for (int i = 0; i < 32; i++)
        {
            carry += larger[32 + i] + order[i];
            larger[32 + i] = (byte)carry;
            carry >>= 8;
        }
        return larger;
    }

    static void Blake()
    {
        // RFC 7693, appendix A; the empty text; and lengths around a block, as Python's hashlib has them.
        string[][] vectors = {
            new string[] { "abc", "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923" },
            new string[] { "", "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce" },
            new string[] { new string('a', 127), "94596b9d6199c807c40ae1a935f3633ba5a8dd5655f7f1bd44f5285b1ce8dbb0054771eba409539df85a963296d28788807105153c90fa3ec3d761228e90f8b8" },
            new string[] { new string('a', 128), "fc6c71f688f43ea7d60817478808f3cac753e61571865c95adbc2d9122c943a76b92c2cb1047ef3fe7bf6e436ec1d0a99a9e5b216780bf7fed9d7ca91d3a8f3b" },
            new string[] { new string('a', 129), "55e6e0eb418149a8af92fd9ddc99254781b2f522a131b4f4d984404b71a00e1167b8124d5dcddd4c6977b299392335d6edd303da6d344d74bbef2d38101b232b" },
            new string[] { new string('a', 256), "0eee13d0c73a2710c5015a8b4be0a16120bb88f826b662951ffe4b3b81441cfdce1f712c58e237dba72a0dad7f9c86b9745ea0b4b3b850ff3a260fb7df9d3e81" },
            new string[] { new string('a', 1000), "d6a69459fe93fc6b9537ed4336e5099e0dcca3e97290a412500ed7a0daffb03d80cf3650a20e0591f748e10c3c534945ee83d5f2c9722f1a68d98b8c01af23fd" },
        };
        foreach (string[] vector in vectors)
            Check(Hex(Blake2b.Hash(Encoding.ASCII.GetBytes(vector[0]))) == vector[1], "BLAKE2b of " + vector[0].Length + " bytes");
    }

    static int Main(string[] files)
    {
        Ed();
        Blake();
        for (int i = 0; i + 3 < files.Length; i += 4)
        {
            string why = Minisign.Check(File.ReadAllBytes(files[i + 1]), File.ReadAllText(files[i + 2]), files[i]);
            Check((why == "") == (files[i + 3] == "yes"), files[i + 2] + ": " + why);
        }
        Console.WriteLine(failed == 0 ? "ok" : failed + " failed");
        return failed == 0 ? 0 : 1;
    }
}
