{
  description = "Stand-ins for two outputs of the platform, with its names and none of its code";

  outputs = { self }:
    let
      system = "x86_64-linux";
      package = name: folder: derivation {
        name = "${name}-0.1.0";
        inherit system;
        builder = "/bin/sh";
        args = [ "-eu" "${builtins.path { path = folder; name = "${name}-source"; }}/build.sh" ];
        src = builtins.path { path = folder; name = "${name}-source"; };
        PATH = "/usr/bin:/bin";
      };
      attic-client = package "attic-client" ./attic-client;
    in
    {
      packages.${system} = {
        default = attic-client;
        inherit attic-client;
        runner-dashboard = package "runner-dashboard" ./app;
      };
    };
}
