# Makes this computer a node of a Starling swarm, or brings its node up to date. In a PowerShell that runs as
# administrator (Windows PowerShell 5.1 or PowerShell 7):
#
#   $env:STARLING_INVITE='starling-invite-...'; irm @@URL@@/install.ps1 | iex
#
# It downloads the signed release of the gateway below, checks signature and checksum, puts starling-node into
# %ProgramFiles%\Starling, joins the swarm, and starts the node as a service. Run it again for a newer release, or to go
# on after a failure. More can be said by variables, set in the same way before the command:
#   STARLING_MODEL       a GGUF file, or a name such as hf:Qwen/Qwen3-8B-GGUF:Q5_K_M, which is downloaded
#   STARLING_NO_SERVICE  1: only install and join
#   STARLING_AUTO_UPDATE 1: have the node take newer releases by itself, each day (needs the service)
#   STARLING_UNINSTALL   1: take service and program away; what the node has stored stays
#   STARLING_PURGE       1: with STARLING_UNINSTALL, that too

# One block: whoever gets half of this script runs nothing of it.
& {
    Set-StrictMode -Version 2
    $ErrorActionPreference = 'Stop'
    # Windows PowerShell draws its bar so often that downloads crawl.
    $ProgressPreference = 'SilentlyContinue'

    # Of the gateway that this script came from; the key is what every later release has to be signed with.
    $Url = '@@URL@@'
    $Key = '@@KEY@@'
    $Version = '@@VERSION@@'

    $Program = 'starling-node'
    $ProgramFiles = if ($env:ProgramW6432) { $env:ProgramW6432 } else { $env:ProgramFiles }
    $Folder = Join-Path $ProgramFiles 'Starling'
    $Exe = Join-Path $Folder "$Program.exe"
    $Data = Join-Path $env:ProgramData 'Starling'
    $Config = Join-Path $Data 'node.toml'
    $EnvironmentKey = 'HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Environment'

    # Checks signatures of minisign: Ed25519 (RFC 8032) over BLAKE2b-512 (RFC 7693), neither of which .NET Framework has.
    # It only verifies, with numbers that everybody knows, so that its time tells nobody anything. C# 5, for Add-Type of
    # Windows PowerShell.
    $MinisignSource = @'
using System;
using System.Collections.Generic;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;

namespace Starling
{
    public static class Minisign
    {
        // Empty when the signature holds, else why not.
        public static string Check(byte[] document, string signatureFile, string publicKey)
        {
            byte[] key, signature, global;
            string[] lines = signatureFile.Replace("\r\n", "\n").Split('\n');
            const string Trusted = "trusted comment: ";
            if (lines.Length < 4 || !lines[0].StartsWith("untrusted comment:", StringComparison.Ordinal)
                || !lines[2].StartsWith(Trusted, StringComparison.Ordinal)) return "this is no signature file";
            try
            {
                key = Convert.FromBase64String(publicKey);
                signature = Convert.FromBase64String(lines[1]);
                global = Convert.FromBase64String(lines[3]);
            }
            catch (FormatException) { return "this is no signature file"; }
            if (key.Length != 42 || key[0] != 'E' || key[1] != 'd') return "this is no public key";
            if (signature.Length != 74 || global.Length != 64 || signature[0] != 'E' || signature[1] != 'D')
                return "this is no signature of the kind that is wanted";
            for (int i = 2; i < 10; i++) if (key[i] != signature[i]) return "it was signed with another key";
            byte[] point = Part(key, 10, 32), first = Part(signature, 10, 64);
            if (!Ed25519.Verify(Blake2b.Hash(document), first, point)) return "the signature does not hold";
            byte[] comment = Encoding.UTF8.GetBytes(lines[2].Substring(Trusted.Length));
            byte[] signed = new byte[64 + comment.Length];
            Array.Copy(first, signed, 64);
            Array.Copy(comment, 0, signed, 64, comment.Length);
            return Ed25519.Verify(signed, global, point) ? "" : "the signature of its comment does not hold";
        }

        public static byte[] Part(byte[] bytes, int from, int count)
        {
            byte[] part = new byte[count];
            Array.Copy(bytes, from, part, 0, count);
            return part;
        }
    }

    // RFC 8032, 5.1: edwards25519 in extended coordinates (X, Y, Z, T), as its section 6 writes them.
    public static class Ed25519
    {
        static readonly BigInteger P = BigInteger.Pow(2, 255) - 19;
        static readonly BigInteger L = BigInteger.Pow(2, 252) + BigInteger.Parse("27742317777372353535851937790883648493");
        static readonly BigInteger D = Mod(-121665 * Inverse(121666));
        static readonly BigInteger RootOfMinusOne = BigInteger.ModPow(2, (P - 1) / 4, P);
        static readonly BigInteger[] Base = Decode(Mod(4 * Inverse(5)), false);

        public static bool Verify(byte[] message, byte[] signature, byte[] key)
        {
            if (signature.Length != 64 || key.Length != 32) return false;
            byte[] r = Minisign.Part(signature, 0, 32);
            BigInteger s = Number(Minisign.Part(signature, 32, 32));
            BigInteger[] a = Decode(key), claimed = Decode(r);
            // A number that is not reduced would be a second signature of the same message.
            if (a == null || claimed == null || s >= L) return false;
            byte[] hash;
            using (SHA512 sha = SHA512.Create())
            {
                List<byte> all = new List<byte>(r);
                all.AddRange(key);
                all.AddRange(message);
                hash = sha.ComputeHash(all.ToArray());
            }
            BigInteger h = Number(hash) % L;
            return Same(Times(s, Base), Add(claimed, Times(h, a)));
        }

        static BigInteger Mod(BigInteger value)
        {
            BigInteger rest = value % P;
            return rest.Sign < 0 ? rest + P : rest;
        }

        static BigInteger Inverse(BigInteger value) { return BigInteger.ModPow(Mod(value), P - 2, P); }

        // Little-endian, and never negative.
        static BigInteger Number(byte[] bytes)
        {
            byte[] padded = new byte[bytes.Length + 1];
            Array.Copy(bytes, padded, bytes.Length);
            return new BigInteger(padded);
        }

        static BigInteger[] Decode(byte[] bytes)
        {
            byte[] y = (byte[])bytes.Clone();
            bool odd = (y[31] & 0x80) != 0;
            y[31] &= 0x7f;
            return Decode(Number(y), odd);
        }

        // The point of this y whose x is odd or even; null where there is none, or y is not reduced.
        static BigInteger[] Decode(BigInteger y, bool odd)
        {
            if (y >= P) return null;
            BigInteger square = Mod((y * y - 1) * Inverse(D * y * y + 1));
            BigInteger x = BigInteger.ModPow(square, (P + 3) / 8, P);
            if (Mod(x * x) != square) x = Mod(x * RootOfMinusOne);
            if (Mod(x * x) != square) return null;
            if (x.IsZero && odd) return null;
            if (x.IsEven == odd) x = Mod(-x);
            return new BigInteger[] { x, y, BigInteger.One, Mod(x * y) };
        }

        static BigInteger[] Add(BigInteger[] p, BigInteger[] q)
        {
            BigInteger a = Mod((p[1] - p[0]) * (q[1] - q[0])), b = Mod((p[1] + p[0]) * (q[1] + q[0]));
            BigInteger c = Mod(2 * p[3] * q[3] * D), d = Mod(2 * p[2] * q[2]);
            BigInteger e = b - a, f = d - c, g = d + c, h = b + a;
            return new BigInteger[] { Mod(e * f), Mod(g * h), Mod(f * g), Mod(e * h) };
        }

        static BigInteger[] Times(BigInteger factor, BigInteger[] point)
        {
            BigInteger[] sum = new BigInteger[] { 0, 1, 1, 0 };
            for (; factor.Sign > 0; factor >>= 1)
            {
                if (!factor.IsEven) sum = Add(sum, point);
                point = Add(point, point);
            }
            return sum;
        }

        static bool Same(BigInteger[] p, BigInteger[] q)
        {
            return Mod(p[0] * q[2] - q[0] * p[2]).IsZero && Mod(p[1] * q[2] - q[1] * p[2]).IsZero;
        }
    }

    // RFC 7693: BLAKE2b with 64 bytes and no key.
    public static class Blake2b
    {
        static readonly ulong[] Start = {
            0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
            0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179 };

        static readonly string[] Order = {
            "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
            "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
            "0123456789abcdef", "ea489fd61c02b753" };

        public static byte[] Hash(byte[] data)
        {
            ulong[] h = (ulong[])Start.Clone();
            h[0] ^= 0x01010040;
            byte[] block = new byte[128];
            int at = 0;
            for (; data.Length - at > 128; at += 128)
            {
                Array.Copy(data, at, block, 0, 128);
                Compress(h, block, (ulong)at + 128, false);
            }
            block = new byte[128];
            Array.Copy(data, at, block, 0, data.Length - at);
            Compress(h, block, (ulong)data.Length, true);
            byte[] hash = new byte[64];
            for (int i = 0; i < 64; i++) hash[i] = (byte)(h[i / 8] >> (8 * (i % 8)));
            return hash;
        }

        static void Compress(ulong[] h, byte[] block, ulong count, bool last)
        {
            ulong[] m = new ulong[16], v = new ulong[16];
            for (int i = 0; i < 128; i++) m[i / 8] |= (ulong)block[i] << (8 * (i % 8));
            for (int i = 0; i < 8; i++) { v[i] = h[i]; v[i + 8] = Start[i]; }
            v[12] ^= count;
            if (last) v[14] = ~v[14];
            foreach (string order in Order)
            {
                for (int i = 0; i < 8; i++)
                {
                    // Four columns, then four diagonals.
                    int turn = i < 4 ? 0 : 1;
                    int a = i % 4, b = 4 + (i + turn) % 4, c = 8 + (i + 2 * turn) % 4, d = 12 + (i + 3 * turn) % 4;
                    Mix(v, a, b, c, d, m[Digit(order[2 * i])], m[Digit(order[2 * i + 1])]);
                }
            }
            for (int i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
        }

        static int Digit(char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; }

        static void Mix(ulong[] v, int a, int b, int c, int d, ulong x, ulong y)
        {
            unchecked
            {
                v[a] = v[a] + v[b] + x;
                v[d] = Turn(v[d] ^ v[a], 32);
                v[c] = v[c] + v[d];
                v[b] = Turn(v[b] ^ v[c], 24);
                v[a] = v[a] + v[b] + y;
                v[d] = Turn(v[d] ^ v[a], 16);
                v[c] = v[c] + v[d];
                v[b] = Turn(v[b] ^ v[c], 63);
            }
        }

        static ulong Turn(ulong value, int by) { return (value >> by) | (value << (64 - by)); }
    }
}
'@

    function Say([string]$Text) { Write-Host "==> $Text" }

    function Note([string]$Text) { Write-Host "    $Text" }

    # What went wrong, and what to do about it.
    function Fail([string]$What, [string]$Hint) { throw "$What`nhint: $Hint" }

    # A variable for this script, which nobody after it sees.
    function Take([string]$Name) {
        $value = [Environment]::GetEnvironmentVariable($Name, 'Process')
        [Environment]::SetEnvironmentVariable($Name, $null, 'Process')
        if ($value) { $value.Trim() } else { '' }
    }

    # Runs the program and shows what it says; its exit code alone says whether it went well. Where there is no console
    # (ISE, remote sessions), Windows PowerShell takes each line on stderr for an error.
    function Invoke-Shown([string[]]$Arguments) {
        $ErrorActionPreference = 'Continue'
        # Of a program that cannot be started there would be no code, or an older one.
        $global:LASTEXITCODE = -1
        & $Exe @Arguments | Out-Host
    }

    # What must go well.
    function Invoke-Node([string]$What, [string]$Hint, [string[]]$Arguments) {
        Invoke-Shown $Arguments
        if ($LASTEXITCODE -ne 0) { Fail $What $Hint }
    }

    # Without what it says beside its answer. Windows PowerShell would take that for the end of the script.
    function Invoke-Quietly([scriptblock]$Do) {
        $ErrorActionPreference = 'Continue'
        $global:LASTEXITCODE = -1
        & $Do 2>$null
    }

    # 0 when the service runs, 3 when it is stopped, 4 when there is none.
    function Get-ServiceCode {
        if (-not (Test-Path -LiteralPath $Exe)) { return 4 }
        Invoke-Quietly { & $Exe service status } | Out-Null
        return $LASTEXITCODE
    }

    function Test-Computer {
        $identity = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
        if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
            Fail 'only an administrator may do this' 'open the Start menu, type PowerShell, choose "Run as administrator", and paste the command again'
        }
        $processor = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
        if ($processor -ne 'AMD64') { Fail "there is no package for $processor" 'build from source: cargo build --release -p starling-node' }
        if ([Environment]::OSVersion.Version.Major -lt 10) { Fail 'this Windows is too old' 'Windows 10 or 11 is needed' }
        if (-not $Url.StartsWith('https://')) {
            Note 'the gateway is reached without encryption: whoever is on the way could have changed this script'
        }
        # Windows PowerShell asks with what was usual in 2012.
        [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    }

    function Get-Invite([string]$Given) {
        $invite = $Given
        if (-not $invite -and -not (Test-Path -LiteralPath (Join-Path $Data 'membership.cbor'))) {
            $invite = (Read-Host "Invite (from the page ""Add a node"" of $Url)").Trim()
            if (-not $invite) { Fail 'an invite is missing' 'make one on the gateway''s page "Add a node"' }
        }
        if ($invite -and $invite -notmatch '^starling-invite-[A-Za-z0-9_=.-]+$') {
            Fail 'that is no invite' 'an invite begins with starling-invite- and stands on the gateway''s page "Add a node"'
        }
        $invite
    }

    # Gets /releases/NAME, of at most so many bytes.
    function Get-File([string]$Name, [string]$To, [long]$Bytes) {
        Say "downloading $Name"
        try {
            Invoke-WebRequest -UseBasicParsing -Uri "$Url/releases/$Name" -OutFile $To
        } catch {
            Fail "$Name could not be downloaded from ${Url}: $($_.Exception.Message)" 'check the connection and run this again; the gateway''s operator sees in its log what it serves'
        }
        if ((Get-Item -LiteralPath $To).Length -gt $Bytes) { Fail "$Name is longer than it may be" 'tell the gateway''s operator' }
    }

    # The folder of the unpacked package, whose every byte has been signed.
    function Get-Package([string]$Work) {
        $manifest = Join-Path $Work 'release.json'
        Get-File 'release.json' $manifest 65536
        Get-File 'release.json.minisig' "$manifest.minisig" 4096
        if (-not ('Starling.Minisign' -as [type])) {
            $numbers = if ($PSVersionTable.PSEdition -eq 'Core') { @() } else { @('System.Numerics') }
            if ($numbers) { Add-Type -TypeDefinition $MinisignSource -ReferencedAssemblies $numbers } else { Add-Type -TypeDefinition $MinisignSource }
        }
        $signature = [IO.File]::ReadAllText("$manifest.minisig", [Text.Encoding]::UTF8)
        $why = [Starling.Minisign]::Check([IO.File]::ReadAllBytes($manifest), $signature, $Key)
        if ($why) { Fail "the release is not signed with this gateway's key: $why" 'do not install it; tell the gateway''s operator' }
        $release = [IO.File]::ReadAllText($manifest, [Text.Encoding]::UTF8) | ConvertFrom-Json
        if ($release.version -ne $Version) { Fail 'the gateway has just got another release' 'run this again' }
        $file = @($release.files | Where-Object {
            $_.program -eq $Program -and $_.system -eq 'windows' -and $_.arch -eq 'x86_64' -and $_.kind -eq 'archive'
        })
        if ($file.Count -ne 1 -or $file[0].name -notmatch '^[A-Za-z0-9][A-Za-z0-9._+-]*$') {
            Fail 'the release has no package for Windows' 'ask the gateway''s operator for one'
        }
        $zip = Join-Path $Work 'package.zip'
        Get-File $file[0].name $zip $file[0].bytes
        if ((Get-FileHash -LiteralPath $zip -Algorithm SHA256).Hash -ne $file[0].sha256) {
            Fail "$($file[0].name) came damaged: its SHA-256 is not the one that was signed" 'run this again'
        }
        Say 'signature and checksum are right'
        Expand-Archive -LiteralPath $zip -DestinationPath (Join-Path $Work 'unpacked')
        $package = Join-Path (Join-Path $Work 'unpacked') "$Program-$Version"
        $new = Join-Path $package "$Program.exe"
        if (-not (Test-Path -LiteralPath $new)) { Fail "the package holds no $Program.exe" 'tell the gateway''s operator' }
        $runs = Invoke-Quietly { & $new --version }
        if ($LASTEXITCODE -ne 0) { Fail 'the program does not start here' 'this Windows may lack something that it needs; run it in a terminal to see what' }
        if ("$runs".Trim() -ne "$Program $Version") { Fail "the package holds another version: $runs" 'tell the gateway''s operator' }
        $package
    }

    # Deletes a file; one that still runs, such as `starling-node desktop` of somebody who has signed in, gets out of the way.
    function Remove-Old([string]$Path) {
        if (-not (Test-Path -LiteralPath $Path)) { return }
        try { Remove-Item -LiteralPath $Path -Force } catch {
            Move-Item -LiteralPath $Path -Destination "$Path.$([Guid]::NewGuid().ToString('N')).gone"
        }
    }

    # Puts the program and what belongs beside it into the folder. The old files stay, as .old; $Placed gets the new ones.
    function Set-Program([string]$Package, [Collections.Generic.List[string]]$Placed) {
        foreach ($file in @(Get-ChildItem -LiteralPath $Folder -File | Where-Object { $_.Extension -eq '.gone' })) {
            Remove-Item -LiteralPath $file.FullName -Force -ErrorAction SilentlyContinue
        }
        $files = @(Get-ChildItem -LiteralPath $Package -File | Where-Object { $_.Extension -in '.dll', '.exe', '.txt' -or $_.Name -eq 'LICENSE' })
        foreach ($file in @($files | Sort-Object { $_.Extension -eq '.exe' })) {
            $at = Join-Path $Folder $file.Name
            Copy-Item -LiteralPath $file.FullName -Destination "$at.new" -Force
            Remove-Old "$at.old"
            $Placed.Add($at)
            if (Test-Path -LiteralPath $at) { Move-Item -LiteralPath $at -Destination "$at.old" }
            Move-Item -LiteralPath "$at.new" -Destination $at
        }
        Say "$Exe is $Version"
    }

    # What was there before is there again; where nothing was, nothing stays. Of older files nothing is touched.
    function Undo-Program([Collections.Generic.List[string]]$Placed, [bool]$Had) {
        if ((Get-ServiceCode) -eq 0) { Invoke-Quietly { & $Exe service stop } | Out-Null }
        foreach ($file in @(Get-ChildItem -LiteralPath $Folder -File | Where-Object { $_.Extension -eq '.new' })) {
            Remove-Item -LiteralPath $file.FullName -Force
        }
        if (-not $Had) {
            if ((Get-ServiceCode) -in 0, 3) { Invoke-Quietly { & $Exe service uninstall } | Out-Null }
            Remove-Item -LiteralPath $Folder -Recurse -Force
            Note "$Folder was taken away again; what has been joined and downloaded stays in $Data"
            return
        }
        foreach ($at in @($Placed | Where-Object { Test-Path -LiteralPath "$_.old" })) {
            Remove-Old $at
            Move-Item -LiteralPath "$at.old" -Destination $at
        }
        Note "$Exe is the program that was there before"
    }

    function Join-Swarm([string]$Invite) {
        if (-not $Invite) { Note 'this node has joined before'; return }
        Say 'joining the swarm'
        # By the input: what stands in a command line can be read by everybody on this computer. Without the mark that
        # Windows PowerShell begins with where a person has set UTF-8.
        $OutputEncoding = New-Object Text.ASCIIEncoding
        $ErrorActionPreference = 'Continue'
        $global:LASTEXITCODE = -1
        $Invite | & $Exe join '-' --only --data $Data | Out-Host
        if ($LASTEXITCODE -ne 0) { Fail 'the swarm could not be joined' 'see above; with a new invite run this again' }
    }

    function Write-Config([string]$Model) {
        if (Test-Path -LiteralPath $Config) { Note "$Config is there already and stays as it is"; return }
        $lines = @("# Settings of this node; ""$Program run --help"" names them all.", "data = '$Data'")
        if ($Model) { $lines += "model = ['$Model']" }
        $lines += '', "# Where ""$Program update"" looks for newer releases, and the key that they are signed with."
        $lines += '[update]', "url = '$Url'", "key = '$Key'", ''
        # Windows PowerShell would begin the file with a mark that TOML has not.
        [IO.File]::WriteAllText($Config, ($lines -join "`n"), (New-Object Text.UTF8Encoding $false))
        Say "wrote $Config"
    }

    # The folder among those where commands are looked for; names in it that stand for others stay names.
    function Set-SearchPath([bool]$Wanted) {
        $before = (Get-Item -LiteralPath $EnvironmentKey).GetValue('Path', '', 'DoNotExpandEnvironmentNames')
        $folders = @($before -split ';' | Where-Object { $_ -and $_.TrimEnd('\') -ne $Folder })
        if ($Wanted) { $folders += $Folder }
        $after = $folders -join ';'
        if ($after -eq $before) { return }
        Set-ItemProperty -LiteralPath $EnvironmentKey -Name 'Path' -Value $after -Type ExpandString
        # Tells programs that run; there is no such variable.
        [Environment]::SetEnvironmentVariable('StarlingNothing', $null, 'Machine')
    }

    function Start-Node([bool]$Updates) {
        Say 'starting the service'
        $words = @('service', 'install', '--config', $Config, '--data', $Data)
        if ($Updates) { $words += '--auto-update' }
        Invoke-Node 'the service could not be installed' 'see above, then run this again' $words
        if ((Get-ServiceCode) -ne 0) {
            Invoke-Node 'the service did not start' "see above and the log in $Data\logs, then run this again" @('service', 'start')
        }
        $until = (Get-Date).AddSeconds(60)
        do {
            Start-Sleep -Seconds 1
            $status = Invoke-Quietly { & $Exe status --data $Data }
            $answers = $LASTEXITCODE -eq 0
        } until ($answers -or (Get-Date) -gt $until)
        if (-not $answers) { Fail 'the node does not answer after a minute' "see the log in $Data\logs, then run this again" }
        $status | Out-Host
    }

    function Install-Node([string]$Given, [string]$Model, [bool]$AsService, [bool]$Updates) {
        if ($Model -match "['`r`n]") { Fail 'the model''s name has a quote in it' 'give a path without one' }
        if ($Model -and $Model -notmatch '^(hf:|https://)') { $Model = (Resolve-Path -LiteralPath $Model).ProviderPath }
        if ($AsService -and $Model -match '^[A-Za-z]:\\Users\\') {
            Note "the service sees no folders of people: move $Model to $Data\models, or start the node by hand"
        }
        $invite = Get-Invite $Given
        # Where only administrators write: nobody else changes what has been checked.
        $work = Join-Path $Folder ('download-' + [Guid]::NewGuid().ToString('N'))
        New-Item -ItemType Directory -Path $work -Force | Out-Null
        $placing = $false
        $had = Test-Path -LiteralPath $Exe
        $placed = New-Object 'Collections.Generic.List[string]'
        try {
            $package = Get-Package $work
            $ran = (Get-ServiceCode) -eq 0
            if ($ran) { Invoke-Shown @('service', 'stop') }
            $placing = $true
            Set-Program $package $placed
            Join-Swarm $invite
            Write-Config $Model
            if ($Model -match '^(hf:|https://)') {
                Say 'downloading the model'
                Invoke-Node 'the model could not be downloaded' 'see above; run this again, it goes on where it stopped' @('models', 'pull', $Model, '--data', $Data)
            }
            Say 'what this computer can do'
            Invoke-Shown @('doctor', '--data', $Data)
            if ($LASTEXITCODE -ne 0) { Note "it can be used all the same; ""$Program doctor"" says so again" }
            Set-SearchPath $true
            if ($AsService) { Start-Node $Updates } else { Note "start the node by hand: & '$Exe' run --config '$Config'" }
            $placing = $false
            Say "done: $Program $Version"
        } finally {
            Remove-Item -LiteralPath $work -Recurse -Force -ErrorAction SilentlyContinue
            if ($placing) {
                Undo-Program $placed $had
                if ($ran -and (Test-Path -LiteralPath $Exe)) { Invoke-Quietly { & $Exe service start } | Out-Null }
            } elseif (-not (Test-Path -LiteralPath $Exe)) {
                Remove-Item -LiteralPath $Folder -Recurse -Force -ErrorAction SilentlyContinue
            }
        }
    }

    function Uninstall-Node([bool]$Purge) {
        if ((Get-ServiceCode) -ne 4) {
            Say 'taking the service away'
            Invoke-Node 'the service could not be taken away' 'see above; then run this again' @('service', 'uninstall')
        }
        Set-SearchPath $false
        # What still runs from there, such as `starling-node desktop`, would keep its file.
        $running = @(Get-Process -Name $Program -ErrorAction SilentlyContinue | Where-Object { "$($_.Path)".StartsWith("$Folder\", 'OrdinalIgnoreCase') })
        if ($running) {
            $running | Stop-Process -Force -ErrorAction SilentlyContinue
            $running | Wait-Process -Timeout 10 -ErrorAction SilentlyContinue
        }
        if (Test-Path -LiteralPath $Folder) { Remove-Item -LiteralPath $Folder -Recurse -Force }
        Say "$Folder is gone"
        if ($Purge -and (Test-Path -LiteralPath $Data)) {
            Remove-Item -LiteralPath $Data -Recurse -Force
            Say "$Data is gone"
        } elseif (Test-Path -LiteralPath $Data) {
            Note "$Data stays; STARLING_PURGE takes it too"
        }
    }

    $invite = Take 'STARLING_INVITE'
    $model = Take 'STARLING_MODEL'
    $noService = Take 'STARLING_NO_SERVICE'
    $updates = Take 'STARLING_AUTO_UPDATE'
    $uninstall = Take 'STARLING_UNINSTALL'
    $purge = Take 'STARLING_PURGE'
    Test-Computer
    # The program writes UTF-8. Where there is no console there is nothing to set.
    $before = $null
    try { $before = [Console]::OutputEncoding; [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { $before = $null }
    try {
        if ($uninstall) { Uninstall-Node ([bool]$purge) } else { Install-Node $invite $model (-not $noService) ([bool]$updates) }
    } finally {
        if ($before) { [Console]::OutputEncoding = $before }
    }
}
