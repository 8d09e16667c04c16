{
  description = "Small tools for people who enter harbours";

  # No inputs and no nixpkgs: each package is a raw derivation, so that it builds offline and stays small.
  outputs = { self }:
    let
      system = "x86_64-linux";
      release = builtins.fromJSON (builtins.readFile ./release.json);
      package = name: version: more: derivation ({
        name = "${name}-${version}";
        inherit system version;
        builder = "/bin/sh";
        args = [ "-eu" "${builtins.path { path = ./. + "/${name}"; name = "${name}-source"; }}/build.sh" ];
        src = builtins.path { path = ./. + "/${name}"; name = "${name}-source"; };
        PATH = "/usr/bin:/bin";
      } // more);
      tideTables = package "tide-tables" release.tide-tables { };
      tideClock = package "tide-clock" release.tide-clock { inherit tideTables; };
      libsounding = package "libsounding" release.libsounding { };
    in
    {
      packages.${system} = {
        tide-tables = tideTables;
        tide-clock = tideClock;
        tide-clock-image = package "tide-clock-image" release.tide-clock {
          inherit tideClock tideTables;
          created = release.created;
        };
        inherit libsounding;
        chart-plotter = package "chart-plotter" release.chart-plotter {
          inherit libsounding;
          stampBuild = release.stampBuild;
        };
        sounding-line = package "sounding-line" "0.7.2" { inherit libsounding; };
        depth-charts = package "depth-charts" "2026.4" { };
        ci-toolchain = package "ci-toolchain" "12" { };
        mystery-box = package "mystery-box" "0.0.1" { };
      };
    };
}
